"""The difficulty model that ships with headgate, and reading another one."""
