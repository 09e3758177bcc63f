-- Nothing but what was queued. ARGV: 4 seconds of a hold.
work_off()
return answer(told_life())
