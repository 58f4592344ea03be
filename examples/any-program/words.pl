#!/usr/bin/perl
# Counts the words of what is posted, as JSON.
use strict;
use warnings;

my %count;
while (my $line = <STDIN>) {
    $count{lc $1}++ while $line =~ /(\w+)/g;
}
print "Content-Type: application/json\n\n";
print "{", join(", ", map { qq("$_": $count{$_}) } sort keys %count), "}\n";
