# What the supervisor executes for a Ruby function: a zygote with the function loaded. Everything
# that costs time is done here, once; a request then runs in a process forked from this one.

require_relative "mayfly_host/host"
MayflyHost.run(__dir__)
