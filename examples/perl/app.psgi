# Sends back in capitals what it is sent, as it comes.
use strict;
use warnings;

sub {
    my ($env) = @_;
    return sub {
        my $writer = $_[0]->([200, ['Content-Type' => 'text/plain']]);
        while ($env->{'psgi.input'}->read(my $piece, 16_384)) {
            $writer->write(uc $piece);
        }
        $writer->close;
    };
};
