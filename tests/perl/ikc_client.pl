#!/usr/bin/perl
# A client of IKC with POE's filters alone: the handshake named by the second argument, then a post, calls, a subscription and an event
# through a proxy. Prints what comes back.
use strict;
use warnings;
use IO::Socket::INET;
use POE qw(Filter::Reference);

my ($address, $protocol) = @ARGV;
my $socket = IO::Socket::INET->new(PeerAddr => $address, Timeout => 20) or die "cannot connect to $address: $!";
$socket->autoflush(1);
$SIG{ALRM} = sub { die "no answer in time\n" };
alarm 30;

sub line {
    my $line = '';
    while ($line !~ /\n\z/) { sysread($socket, $line, 1, length $line) or die "the end in the handshake" }
    $line =~ s/\r?\n\z//;
    return $line;
}
sub say_line { print $socket "$_[0]\r\n" }

my $id = "perl-00000001-00000002-00000003";
if ($protocol eq 'IKC0') {
    say_line("SETUP KERNEL=$id,Cli;FREEZER=Nonsense,Storable;PID=$$");
    my $setup = line();
    $setup =~ /^SETUP KERNEL=([^,;]+),Pulse,Beat,[^;]+;FREEZER=Storable;PID=\d+$/ or die "a bad setup: $setup";
} else {
    my @names;
    say_line("HELLO");
    while ((my $line = line()) ne 'DONE') {
        $line =~ /^IAM (\S+)$/ or die "a bad name: $line";
        push @names, $1;
        say_line("OK");
    }
    die "bad names: @names" unless "@names[1 .. $#names]" =~ /^\S+:\d+ Beat Pulse$/;
    for ("IAM $id", "IAM Cli") { say_line($_); line() eq 'OK' or die "a name was refused" }
    say_line("DONE");
    say_line("FREEZER Nonsense");
    line() eq 'NOT' or die "nonsense was taken";
    say_line("FREEZER Storable");
    line() eq 'OK' or die "Storable was refused";
    say_line("WORLD");
    line() eq 'UP' or die "not up";
}

my $filter = POE::Filter::Reference->new('Storable');
sub put { print $socket @{ $filter->put([@_]) } }
my @read;
sub get {
    until (@read) {
        sysread($socket, my $bytes, 65536) or die "the end";
        push @read, @{ $filter->get([$bytes]) };
    }
    return shift @read;
}
my $from = { kernel => $id, session => 'cli', state => 'IKC:proxy' };
my $rsvp = sub { { kernel => $id, session => 'cli', state => $_[0] } };

put({ event => 'poe://Pulse/test/note', params => 'from Perl', from => $from });
put({ event => 'poe://Pulse/test/add', params => [20, 22], from => $from, rsvp => $rsvp->('sum') });
my $message = get();
die "not the reply" unless $message->{event}{state} eq 'sum' and $message->{from}{session} eq 'test';
print "sum: $message->{params}\n";

put({ event => { kernel => 'Pulse', session => 'test', state => 'secret' }, params => undef, from => $from });
$message = get();
die "not the error" unless $message->{is_error} and $message->{event}{state} eq 'remote_error' and $message->{event}{kernel} eq $id;
print "error: $message->{params}[2]\n";

put({
    event => { kernel => 'Pulse', session => 'IKC', state => 'do_you_have' },
    params => [{ kernel => 'Pulse', session => 'test', state => '' }, $id],
    rsvp => $rsvp->('IKC:receipt 1 CODE(0x1)poe://Pulse/test'),
});
$message = get();
print "granted: $message->{params}[0]{kernel}/$message->{params}[0]{session}\n";

put({
    event => { kernel => 'Pulse', session => 'test', state => 'IKC:proxy' },
    params => ['hello', ['a1', 2]],
    from => $from,
});
$message = get();
die "not to the proxy" unless $message->{event}{session} eq 'cli' and $message->{event}{state} eq 'IKC:proxy';
die "not the event" unless $message->{params}[0] eq 'reply';
print "reply: ", join(', ', @{ $message->{params}[1] }), "\n";

# As ClientLite calls in list context.
my $lite = { kernel => $id, session => 'IKCLite' };
put({ event => 'poe://Pulse/test/list', params => undef, from => $lite, wantarray => 1, rsvp => { %$lite, state => 'response0' } });
$message = get();
print "list: ", join(', ', @{ $message->{params} }), "\n";

put({ event => 'poe://Pulse/IKC/ping', params => 'PING', from => $from, rsvp => $rsvp->('pong') });
print "pong: ", get()->{params}, "\n";
put({ event => 'poe://Pulse/test/stop', params => undef, from => $from });
sysread($socket, my $rest, 1) and die "more than the end";
