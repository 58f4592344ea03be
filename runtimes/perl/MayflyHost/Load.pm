package MayflyHost::Load;

# From the text of `handler` to the code it names, and the adapter that speaks to it.
use strict;
use warnings;

use Cwd ();

our $OURS;    # the folder of MayflyHost/

sub adapter {
    my ($start) = @_;
    my $handler = $start->{handler};
    my $root = Cwd::getcwd();

    # What a project brings along: its own modules, and those that carton and cpanm have put there.
    unshift @INC, grep {-d} "$root/lib", "$root/local/lib/perl5";
    return psgi(run_file("$root/$handler"), $handler) if $handler =~ /\.psgi$/;

    my ($stem, $name) = $handler =~ /^(.*)\.(\w+)$/
        or die MayflyHost::Errors::failure('Runtime.HandlerNotFound', "\"$handler\" is not of the form file.sub");
    my ($file) = grep { -f "$root/$_" } "$stem.pl", "$stem.pm"
        or die MayflyHost::Errors::failure('Runtime.ImportModuleError', "there is neither $stem.pl nor $stem.pm");
    my $value = run_file("$root/$file");
    for my $package ('main', packages($file)) {
        my $code = $package->can($name);
        return $name eq 'app' ? psgi($code, $file) : lambda($code, $start) if $code;
    }
    return psgi($value, $file) if $name eq 'app' && ref $value;
    die MayflyHost::Errors::failure('Runtime.HandlerNotFound', "$file has no sub $name");
}

# A file's name says its package, by its end; the longest first.
sub packages {
    my ($file) = @_;
    my @parts = split m{/}, $file =~ s/\.p[lm]$//r;
    return map { join '::', @parts[$_ .. $#parts] } 0 .. $#parts;
}

# As `require` does it, but what the file returns is wanted.
sub run_file {
    my ($path) = @_;
    local $ENV{PLACK_ENV} = $ENV{PLACK_ENV} // 'deployment';
    $0 = $path;
    $INC{$path} = $path;
    local $@;
    local $!;
    my $value = evaluate($path);
    my $error = $@;
    die $error if ref $error || $error ne '';
    die "$path: $!\n" if !defined $value && $!;
    return $value;
}

# In a package of its own, so that no name of ours is in the file's way.
sub evaluate {
    return eval "package main; do \$_[0] // do { die \$@ if ref \$@ || \$@ ne ''; undef }";    ## no critic
}

sub psgi {
    my ($app, $file) = @_;
    require "$OURS/MayflyHost/Psgi.pm";
    $app = $app->to_app if ref $app && ref $app ne 'CODE' && eval { $app->can('to_app') };
    die MayflyHost::Errors::failure('Runtime.HandlerNotFound',
        "$file must end with a PSGI application, a reference to code; this is " . (ref $app || 'none'))
        if !(ref $app eq 'CODE' || (ref $app && eval { $app->isa('CODE') || overload::Method($app, '&{}') }));
    return MayflyHost::Psgi->new($app);
}

sub lambda {
    my ($code, $start) = @_;
    require "$OURS/MayflyHost/Lambda.pm";
    return MayflyHost::Lambda->new($code, $start);
}

1;
