# What the supervisor executes for a Perl function: a zygote with the function loaded. Everything that
# costs time is done here, once; a request then runs in a process forked from this one.
use strict;
use warnings;

use File::Basename ();
use Cwd ();

BEGIN { unshift @INC, $MayflyHost::Load::OURS = File::Basename::dirname(Cwd::realpath(__FILE__)) }
use MayflyHost::Errors;
use MayflyHost::Load;

my $start = Mayfly::open();
shift @INC;    # what is ours is not for the function to find
my $adapter;

# Lines are written as they are printed: a process that is killed takes nothing along.
STDOUT->autoflush(1);
STDERR->autoflush(1);

# The author's code may set another; then what it dies of is told without the frames.
$SIG{__DIE__} = \&MayflyHost::Errors::note;

sub fail_to_load {
    my $error = MayflyHost::Errors::explained($_[0], $start->{late});
    MayflyHost::Errors::tell($error);
    Mayfly::fail(MayflyHost::Errors::parts($error));
}

# Returns whether this process may serve another request.
sub serve {
    my $done = eval { $adapter->serve(); Mayfly::finish(); 1 };
    return 1 if $done;
    my $error = $@;
    MayflyHost::Errors::tell($error);
    STDOUT->flush();
    return Mayfly::answer_fail(MayflyHost::Errors::parts($error), MayflyHost::Errors::errno_of($error));
}

my $touched = 0;

sub touch {
    my $done = eval {
        $adapter->touch();
        Mayfly::finish() if Mayfly::begun();
        main->can('mayfly_warmup')->() if $touched && main->can('mayfly_warmup');
        1;
    };
    MayflyHost::Errors::tell($@) if !$done;
    return $touched = 1;
}

fail_to_load($@) if !eval { $adapter = MayflyHost::Load::adapter($start); 1 };
Mayfly::run(\&serve, \&touch);
