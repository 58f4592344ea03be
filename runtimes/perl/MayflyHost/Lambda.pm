package MayflyHost::Lambda;

# The shape of AWS Lambda's contract in Perl: handler($event, $context), with the event of a Function
# URL, payload format 2.0, and Lambda's rules for what a handler returns.
use strict;
use warnings;

use JSON::PP ();    # for its booleans, which all of them know
use MIME::Base64 qw(decode_base64 encode_base64);
use POSIX ();
use Time::HiRes ();

# The faster ones behave the same for what is needed here.
my ($JSON) = grep { eval "require $_; 1" } qw(Cpanel::JSON::XS JSON::XS JSON::PP);    ## no critic
my $json = $JSON->new->utf8->allow_nonref;

sub new {
    my ($class, $code, $start) = @_;
    $ENV{AWS_LAMBDA_FUNCTION_NAME} //= $start->{function};
    return bless {code => $code, start => $start}, $class;
}

sub serve {
    my ($self) = @_;
    return answer($self->{code}->(event(), $self->context));
}

sub touch {
    my ($self) = @_;
    $self->context;
    return answer({statusCode => 200, headers => {X => 'y'}, body => $json->encode(event_of_http(''))});
}

sub context {
    my ($self) = @_;
    my $deadline = Mayfly::get('Mayfly-Deadline-Ms') // int(Time::HiRes::time() * 1000) + $self->{start}{timeout_ms};
    return bless {start => $self->{start}, request_id => Mayfly::get('Mayfly-Request-Id') // '', deadline_ms => $deadline},
        'MayflyHost::Lambda::Context';
}

sub body {
    my $data = '';
    while (defined(my $piece = Mayfly::read(65_536))) {
        $data .= $piece;
    }
    return $data;
}

# The event of a trigger other than http is the body. An empty one is {}, as Lambda has it.
sub event {
    my $data = body();
    return event_of_http($data) if (Mayfly::get('Mayfly-Trigger') // 'http') eq 'http';
    return {} if $data eq '';
    my $event = eval { $json->decode($data) };
    return $event if $@ eq '';
    die MayflyHost::Errors::failure('Runtime.UnmarshalError', 'Unable to unmarshal input: ' . reason($@));
}

sub reason { return $_[0] =~ s/ at \S+ line \d+\.?\n?\z//r }

sub headers {
    my @pairs = @{Mayfly::headers()};
    my (%map, @cookies);
    while (my ($name, $value) = splice @pairs, 0, 2) {
        $name = lc $name;
        next if $name =~ /^mayfly-/ || $name eq 'transfer-encoding';
        $value = text($value);
        if ($name eq 'cookie') {
            push @cookies, grep {length} map {s/^\s+|\s+$//gr} split /;/, $value;
        } else {
            $map{$name} = exists $map{$name} ? "$map{$name},$value" : $value;
        }
    }
    return (\%map, \@cookies);
}

# Bytes as characters: UTF-8, or what does not fit is replaced.
sub text {
    my ($bytes) = @_;
    require Encode if $bytes =~ /[^\x00-\x7f]/;
    return $bytes =~ /[^\x00-\x7f]/ ? Encode::decode('UTF-8', $bytes) : $bytes;
}

sub decoded {
    my ($part) = @_;
    $part =~ s/%([0-9a-fA-F]{2})/chr hex $1/ge;
    return text($part);
}

sub query {
    my %map;
    for my $pair (split /&/, Mayfly::query()) {
        my ($name, $value) = map { decoded(tr/+/ /r) } split /=/, $pair, 2;
        next if !defined $name;
        $value //= '';
        $map{$name} = exists $map{$name} ? "$map{$name},$value" : $value;
    }
    return \%map;
}

sub event_of_http {
    my ($data) = @_;
    my ($map, $cookies) = headers();
    my $path = decoded(Mayfly::path());
    my $now = Time::HiRes::time();
    my $host = Mayfly::host();
    my $event = {
        version => '2.0', routeKey => '$default', rawPath => $path, rawQueryString => Mayfly::query(), headers => $map,
        requestContext => {
            accountId => 'anonymous', apiId => 'mayfly', authentication => undef, authorizer => undef,
            domainName => $host, domainPrefix => $host =~ s/[.:].*//sr,
            http => {
                method => Mayfly::method(), path => $path, protocol => 'HTTP/1.1',
                sourceIp => Mayfly::get('Mayfly-Client-Ip') // '', userAgent => $map->{'user-agent'} // '',
            },
            requestId => Mayfly::get('Mayfly-Request-Id') // '', routeKey => '$default', stage => '$default',
            time => POSIX::strftime('%d/%b/%Y:%H:%M:%S +0000', gmtime $now), timeEpoch => int($now * 1000),
        },
        pathParameters => undef, isBase64Encoded => JSON::PP::false(), stageVariables => undef,
    };
    my $query = query();
    $event->{queryStringParameters} = $query if %$query;
    $event->{cookies} = $cookies if @$cookies;
    put_body($event, $data) if $data ne '';
    return $event;
}

# As text if it is of a text type and UTF-8, else in base64; forms are not text to Lambda.
sub put_body {
    my ($event, $data) = @_;
    my $type = lc($event->{headers}{'content-type'} // '') =~ s/;.*//sr =~ s/^\s+|\s+$//gr;
    if ($type =~ m{^$|^text/|json$|xml$|javascript$} && utf8::decode(my $text = $data)) {
        return $event->{body} = $text;
    }
    $event->{body} = encode_base64($data, '');
    return $event->{isBase64Encoded} = JSON::PP::true();
}

# ---- what a handler returns ----

sub answer {
    my ($result) = @_;
    return answer_hash($result) if ref $result eq 'HASH' && exists $result->{statusCode};
    return send_answer(200, ['Content-Type' => 'application/json'], to_json($result));
}

sub answer_hash {
    my ($result) = @_;
    my @pairs = headers_of($result);
    my $data = body_of($result);
    my %names = map { lc $_ => 1 } @pairs[grep { $_ % 2 == 0 } 0 .. $#pairs];
    push @pairs, 'Content-Type' => 'application/json' if $data ne '' && !$names{'content-type'};
    push @pairs, map { ('Set-Cookie' => $_) } @{$result->{cookies} // []};
    utf8::encode($_) for @pairs;
    my $status = $result->{statusCode};
    die MayflyHost::Errors::failure('Runtime.MarshalError',
        "Unable to marshal response: statusCode is no number: " . ($status // 'undef'))
        if !defined $status || $status !~ /^\d+$/;
    return send_answer($status, \@pairs, $data);
}

sub headers_of {
    my ($result) = @_;
    my $several = $result->{multiValueHeaders} // {};
    my %replaced = map { lc $_ => 1 } keys %$several;
    my $headers = $result->{headers} // {};
    return (
        (map { ($_ => ref $headers->{$_} eq 'ARRAY' ? join ',', @{$headers->{$_}} : "$headers->{$_}") }
            grep { !$replaced{lc $_} } sort keys %$headers),
        (map { my $name = $_; map { ($name => "$_") } @{$several->{$name}} } sort keys %$several),
    );
}

sub body_of {
    my ($result) = @_;
    my $body = $result->{body};
    return '' if !defined $body;
    return to_json($body) if ref $body;
    return decode_base64($body) if $result->{isBase64Encoded};
    utf8::encode($body);
    return $body;
}

sub send_answer {
    my ($status, $pairs, $data) = @_;
    Mayfly::start($status, $pairs, length $data);
    return Mayfly::write($data);
}

sub to_json {
    my ($value) = @_;
    my $text = eval { $json->encode($value) };
    return $text if defined $text;
    die MayflyHost::Errors::failure('Runtime.MarshalError', 'Unable to marshal response: ' . reason($@));
}

package MayflyHost::Lambda::Context;

sub aws_request_id              { return $_[0]{request_id} }
sub deadline_ms                 { return $_[0]{deadline_ms} }
sub function_name               { return $_[0]{start}{function} }
sub function_version            { return $_[0]{start}{version} }
sub memory_limit_in_mb          { return $_[0]{start}{memory_bytes} >> 20 }
sub log_group_name              { return "/aws/lambda/$_[0]{start}{function}" }
sub log_stream_name             { return POSIX::strftime("%Y/%m/%d/[$_[0]{start}{version}]", gmtime) . $_[0]{request_id} =~ tr/-//dr }

sub get_remaining_time_in_millis {
    my $left = $_[0]{deadline_ms} - int(Time::HiRes::time() * 1000);
    return $left > 0 ? $left : 0;
}

1;
