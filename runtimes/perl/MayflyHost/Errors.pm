package MayflyHost::Errors;

# A function's errors, told twice: in full on stderr, so that they are in the log, and in parts for
# the JSON. Frames of the host are left out: the author looks for a mistake in the author's code.
use strict;
use warnings;

use Errno qw(ENOMEM EMFILE EFBIG ENOSPC EAGAIN);
use Scalar::Util qw(blessed refaddr);

use constant {FRAMES_MAX => 80, MESSAGE_MAX => 16_384};

my ($noted, $noted_stack);    # the last error that was raised, and where

# $SIG{__DIE__}: the frames are there now, and not when the error has been caught.
sub note {
    my ($error) = @_;
    my @lines;
    for (my $i = 0; @lines < FRAMES_MAX; $i++) {
        my (undef, $file, $line) = caller($i) or last;
        my $sub = (caller($i + 1))[3] // 'main';
        last if $file =~ m{/perl/main\.pl$};
        next if $file =~ m{/MayflyHost/};
        $sub =~ s/^main:://;
        push @lines, "at $sub ($file:$line)";
    }
    ($noted, $noted_stack) = ($error, join("\n", @lines));
    return;
}

sub is_noted {
    my ($error) = @_;
    return 0 if !defined $noted;
    return ref $error && ref $noted && refaddr($error) == refaddr($noted) if ref $error || ref $noted;
    return $error eq $noted;
}

# An error of the host's own, with the type that it is told with.
sub failure {
    my ($type, $message) = @_;
    return bless {type => $type, message => $message}, __PACKAGE__;
}

sub message { return $_[0]{message} }

# (errorType, errorMessage, stack), as bytes are not wanted: in characters.
sub parts {
    my ($error) = @_;
    my $stack = is_noted($error) ? $noted_stack : '';
    my ($type, $text);
    if (ref $error eq __PACKAGE__) {
        ($type, $text, $stack) = (@$error{qw(type message)}, $stack);
    } elsif (blessed $error) {
        $type = ref $error;
        $text = eval { $error->can('message') ? $error->message : $error->can('error') ? $error->error : "$error" };
        $text = eval {"$error"} // $type if !defined $text;
    } elsif (ref $error) {
        $type = 'Error';
        $text = eval { require JSON::PP; JSON::PP->new->allow_unknown->canonical->encode($error) } // "$error";
    } else {
        $type = 'Error';
        $text = "$error";
        my $place = qr/ at (\S+) line (\d+)(?:, <[^>]*> (?:line|chunk) \d+)?\.?$/;
        chomp $text;
        $stack = "at main ($1:$2)" if $stack eq '' && $text =~ /$place/m;
        $text =~ s/$place// if $text !~ /\n/;
    }
    return map { clean($_) } $type, substr($text, 0, MESSAGE_MAX), $stack;
}

sub clean {
    my ($text) = @_;
    utf8::decode($text) if !utf8::is_utf8($text);
    $text =~ tr/\0//d;
    return $text;
}

# What the system refused, if that is where the error comes from: an errno, or 0.
sub errno_of {
    my ($error) = @_;
    my $text = ref $error ? '' : $error;
    for my $number (ENOMEM, EMFILE, EFBIG, ENOSPC, EAGAIN) {
        local $! = $number;
        return $number if index($text, "$!") >= 0;
    }
    return 0;
}

sub explained {
    my ($error, $late) = @_;
    return $error if ref $error;
    if ($error =~ /^Can't locate (\S+)\.pm in \@INC/) {
        (my $module = $1) =~ s{/}{::}g;
        return failure('Runtime.ImportModuleError',
            "there is no module $module: neither part of this Perl, nor in lib/ or local/lib/perl5 beside "
                . "mayfly.json; run there: cpanm --local-lib-contained local $module");
    }
    for my $name (grep { index($error, $_) >= 0 } @$late) {
        return "$error(a request has $name, which comes from a secret, but not the code that is loaded ahead of "
            . "all requests; read it in the handler, or set \"secrets\": \"load\" for this function in mayfly.json)\n";
    }
    return $error;
}

# To stderr, whatever the author has made of STDERR.
sub tell {
    my ($type, $text, $stack) = parts($_[0]);
    my $told = "$type: $text\n" . join('', map {"    $_\n"} split /\n/, $stack);
    utf8::encode($told);
    syswrite STDERR, $told;
    return;
}

1;
