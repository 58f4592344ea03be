package MayflyHost::Psgi;

# PSGI 1.1: an application is code that gets %env and returns [status, headers, body], or code that
# wants a responder.
use strict;
use warnings;

use Scalar::Util qw(blessed reftype);

sub new {
    my ($class, $app, $start) = @_;
    return bless {app => $app}, $class;
}

sub serve { return answer($_[0]{app}) }

sub touch {
    return answer(sub {
        my ($env) = @_;
        $env->{'psgi.input'}->read(my $body, 1024);
        return [200, ['Content-Type' => 'text/plain'], ["touched\n"]];
    });
}

sub answer {
    my ($app) = @_;
    my %env = (
        'psgi.version'      => [1, 1],
        'psgi.url_scheme'   => 'http',
        'psgi.input'        => MayflyHost::Psgi::Input->new,
        'psgi.errors'       => \*STDERR,
        'psgi.multithread'  => 0,
        'psgi.multiprocess' => 1,
        'psgi.run_once'     => 0,
        'psgi.nonblocking'  => 0,
        'psgi.streaming'    => 1,
    );
    Mayfly::fill(\%env);
    my $answer = $app->(\%env);
    return send_whole($answer) if ref $answer eq 'ARRAY';
    die "the application must return [status, headers, body] or code; this is " . (ref $answer || 'no reference') . "\n"
        if ref $answer ne 'CODE';
    my $answered = 0;
    $answer->(sub {
        my ($later) = @_;
        $answered = 1;
        return send_whole($later) if @$later > 2;
        begin(@$later);
        Mayfly::flush();
        return bless {}, 'MayflyHost::Psgi::Writer';
    });
    die "the application has not called its responder\n" if !$answered;
    return;
}

sub begin {
    my ($status, $headers) = @_;
    my $length = -1;
    for (my $i = 0; $i < @$headers; $i += 2) {
        $length = $headers->[$i + 1] if lc $headers->[$i] eq 'content-length';
    }
    return Mayfly::start($status, $headers, $length);
}

# An array is all there already, so it goes out in one; anything else is sent as it comes.
sub send_whole {
    my ($status, $headers, $body) = @{$_[0]};
    begin($status, $headers);
    if (ref $body eq 'ARRAY') {
        Mayfly::write($_) for @$body;
        return;
    }
    local $/ = \65_536;
    my $plain = !blessed $body && (reftype($body) // '') eq 'GLOB';
    while (defined(my $piece = $plain ? readline $body : $body->getline)) {
        Mayfly::write($piece);
        Mayfly::flush();
    }
    return $plain ? close $body : $body->close;
}

package MayflyHost::Psgi::Writer;

sub write {
    my ($self, $data) = @_;
    Mayfly::write($data);
    Mayfly::flush();
    return;
}

sub close { return }

# The body as it comes. Who wants to seek keeps it; applications know by psgix.input.buffered.
package MayflyHost::Psgi::Input;

sub new { return bless {pending => ''}, $_[0] }

sub fill {
    my ($self, $wanted) = @_;
    while (length $self->{pending} < $wanted && !$self->{ended}) {
        my $piece = Mayfly::read(65_536);
        defined $piece ? $self->{pending} .= $piece : ($self->{ended} = 1);
    }
    return;
}

# read($buf, $length, $offset), as the built-in does
sub read {
    my ($self, undef, $length, $offset) = @_;
    $offset //= 0;
    $self->fill($length > 65_536 ? 65_536 : $length);
    my $piece = substr $self->{pending}, 0, $length, '';
    $_[1] = '' if !defined $_[1];
    if ($offset < 0) {
        $offset += length $_[1];
        die "Offset outside string\n" if $offset < 0;
    }
    $_[1] .= "\0" x ($offset - length $_[1]) if length $_[1] < $offset;
    substr $_[1], $offset, length($_[1]) - $offset, $piece;
    return length $piece;
}

sub getline {
    my ($self) = @_;
    return $self->take_record if ref $/;
    return $self->take(1 << 40) if !defined $/;
    my $end = $/ eq '' ? "\n\n" : $/;
    my $at;
    my $wanted = 1;
    while (($at = index $self->{pending}, $end) < 0 && !$self->{ended}) {
        $self->fill($wanted = 1 + length $self->{pending});
    }
    return $self->take($at < 0 ? length $self->{pending} : $at + length $end);
}

sub take_record {
    my ($self) = @_;
    return $self->take(${$/});
}

sub take {
    my ($self, $length) = @_;
    $self->fill($length);
    my $piece = substr $self->{pending}, 0, $length, '';
    return length $piece ? $piece : undef;
}

sub getlines {
    my ($self) = @_;
    my @lines;
    while (defined(my $line = $self->getline)) {
        push @lines, $line;
    }
    return @lines;
}

sub eof {
    my ($self) = @_;
    $self->fill(1);
    return length $self->{pending} == 0;
}

sub binmode { return 1 }
sub close   { return 1 }

1;
