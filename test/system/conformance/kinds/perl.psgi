# A PSGI application. See README.md for what it does.
use strict;
use warnings;
use utf8;

use Digest::SHA;
use IO::Socket::INET;
use JSON::PP;
use MIME::Base64;

my $TEXT = 'text/plain; charset=utf-8';
my $asked = 0;

sub deep_down { die bless {message => 'broken on purpose'}, 'Local::TypeError' }
sub Local::TypeError::message { return $_[0]{message} }
sub sleeper { sleep 100 }

sub pairs {
    return map { [map { my $p = $_ =~ tr/+/ /r; $p =~ s/%(..)/chr hex $1/ge; utf8::decode($p); $p } split /=/, $_, 2] } split /&/, $_[0];
}

sub body {
    my ($env) = @_;
    my $all = '';
    while ($env->{'psgi.input'}->read(my $piece, 65536)) { $all .= $piece }
    return $all;
}

sub echo {
    my ($env) = @_;
    my (%query, %headers);
    for my $pair (pairs($env->{QUERY_STRING})) {
        my ($name, $value) = @$pair;
        $query{$name} = exists $query{$name} ? "$query{$name},$value" : $value;
    }
    for my $name (keys %$env) {
        my $plain = $name =~ /^CONTENT_(?:TYPE|LENGTH)$/ ? $name : $name =~ /^HTTP_(.*)/ ? $1 : next;
        $headers{lc($plain) =~ tr/_/-/r} = $env->{$name};
    }
    utf8::decode(my $path = $env->{PATH_INFO});
    return JSON::PP->new->utf8->encode({
        method => $env->{REQUEST_METHOD}, path => $path, query => \%query, headers => \%headers,
        body => encode_base64(body($env), '')});
}

sub upload {
    my ($env) = @_;
    my ($sha, $total) = (Digest::SHA->new(256), 0);
    while ($env->{'psgi.input'}->read(my $piece, 65536)) { $sha->add($piece); $total += length $piece }
    return "$total " . $sha->hexdigest;
}

sub stream {
    my ($port) = @_;
    return sub {
        my $writer = $_[0]->([200, ['Content-Type' => $TEXT]]);
        $writer->write("one\n");
        my $link = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) or die "connect: $!";
        sysread $link, my $byte, 1;
        $writer->write("two\n");
        $writer->close;
    };
}

sub Download::getline { return $_[0]{left}-- > 0 ? 'd' x 65536 : undef }
sub Download::close { }

sub text { return [$_[1] // 200, ['Content-Type' => $TEXT], [$_[0]]] }

my %paths = (
    echo => sub { [200, ['Content-Type' => 'application/json'], [echo($_[0])]] },
    status => sub { my $code = $_[1]{code} // 200; $code =~ /^(?:204|304)$/ ? [$code, [], []] : text('status', $code) },
    headers => sub { [200, ['X-Mixed-Case' => 'MiXed', 'Set-Cookie' => 'a=1; Path=/', 'Set-Cookie' => 'b=2', 'Content-Type' => $TEXT], ['ok']] },
    binary => sub { [200, ['Content-Type' => 'application/octet-stream'], [pack 'C*', 0 .. 255]] },
    unicode => sub { text(body($_[0])) },
    stream => sub { stream($_[1]{port}) },
    upload => sub { text(upload($_[0])) },
    download => sub { [200, ['Content-Type' => $TEXT], bless {left => $_[1]{mb} * 16}, 'Download'] },
    error => sub { deep_down() },
    sleep => sub { text(sleeper()) },
    log => sub { my $line = 'grüße'; utf8::encode($line); print "to stdout: $line\n"; print STDERR "to stderr: $line\n"; text('logged') },
    env => sub { text($ENV{GREETING}) },
    count => sub { text($asked) },
    random => sub { text(join "\n", rand(), int rand 1 << 40) },
);

sub {
    my ($env) = @_;
    $asked++;
    my $last = (split m{/}, $env->{PATH_INFO})[-1];
    my %query = map {@$_} pairs($env->{QUERY_STRING});
    return $paths{$last}->($env, \%query);
};
