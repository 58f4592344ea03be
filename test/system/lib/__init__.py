"""What the system tests share: a daemon to start, HTTP to speak with it, processes to look at."""
