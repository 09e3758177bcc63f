"""What headgate tells others by itself: POSTs to URLs, signed, and mail. Who is told what is for its callers to say."""
