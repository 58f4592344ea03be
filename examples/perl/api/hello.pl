use strict;
use warnings;

sub handler {
    my ($event, $context) = @_;
    my $name = $event->{queryStringParameters}{name} // 'world';
    return {statusCode => 200, headers => {'Content-Type' => 'text/plain'}, body => "Hello, $name!\n"};
}

1;
