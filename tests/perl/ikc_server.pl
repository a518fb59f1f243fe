#!/usr/bin/perl
# A server of IKC with POE's filters alone: one connection, the handshake named by the argument, and the session `test` of the example
# `pulse`, with texts as Perl's IKC has them.
use strict;
use warnings;
use IO::Socket::INET;
use POE qw(Filter::Reference);

my ($protocol) = @ARGV;
my $listener = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1:0', ReuseAddr => 1) or die "cannot listen: $!";
$| = 1;
print "listening on 127.0.0.1:", $listener->sockport, "\n";
$SIG{ALRM} = sub { die "no request in time\n" };
alarm 30;
my $socket = $listener->accept or die "no client";
$socket->autoflush(1);

sub line {
    my $line = '';
    while ($line !~ /\n\z/) { sysread($socket, $line, 1, length $line) or die "the end in the handshake" }
    $line =~ s/\r?\n\z//;
    return $line;
}
sub say_line { print $socket "$_[0]\r\n" }

my ($id, $peer) = ("perl-00000001-00000002-00000004");
my $first = line();
$first =~ /^SETUP KERNEL=([^,;]+),Asker,[^;]+;FREEZER=PoeIkc::MsgPack1,Storable;PID=\d+$/ or die "a bad setup: $first";
if ($protocol eq 'IKC0') {
    $peer = $1;
    say_line("SETUP KERNEL=$id,Pulse;FREEZER=Storable;PID=$$");
} else {
    say_line("NOT");
    line() eq 'HELLO' or die "no fallback";
    for ($id, "Pulse") { say_line("IAM $_"); line() eq 'OK' or die "a name was refused" }
    say_line("DONE");
    while ((my $line = line()) ne 'DONE') {
        $line =~ /^IAM (\S+)$/ or die "a bad name: $line";
        $peer ||= $1;
        say_line("OK");
    }
    line() eq 'FREEZER PoeIkc::MsgPack1' or die "not the best first";
    say_line("NOT");
    line() eq 'FREEZER Storable' or die "not Storable";
    say_line("OK");
    line() eq 'WORLD' or die "not the end";
    say_line("UP");
}

my $filter = POE::Filter::Reference->new('Storable');
sub put { print $socket @{ $filter->put([@_]) } }
my %own = (session => 'IKC', kernel => $id, state => 'IKC:proxy');
sub reply { put({ event => $_[0]{rsvp}, params => $_[1], from => {%own} }) if $_[0]{rsvp} }

my $running = 1;
while ($running) {
    sysread($socket, my $bytes, 65536) or last;
    for my $message (@{ $filter->get([$bytes]) }) {
        my ($event, $params) = @$message{qw(event params)};
        my ($session, $state) = ref $event ? @$event{qw(session state)} : $event =~ m{^poe://Pulse/([^/]+)/([^/]+)$};
        if ($state eq 'IKC:proxy') {
            die "not hello" unless $params->[0] eq 'hello' and $message->{from}{session} eq 'asker';
            die "bad arguments" unless "@{$params->[1]}" eq 'through the proxy';
            put({ event => $message->{from}, params => ['reply', ['hi', 42]], from => { %own, session => 'test' } });
        } elsif ($session eq 'test' and $state eq 'note') {
            print "note: $params\n";
        } elsif ($session eq 'test' and $state eq 'add') {
            reply($message, $params->[0] + $params->[1]);
        } elsif ($session eq 'test' and $state eq 'stop') {
            $running = 0;
        } elsif ($session eq 'IKC' and $state eq 'do_you_have') {
            reply($message, [{ %{ $params->[0] } }, $id]);
        } elsif ($session eq 'IKC' and $state eq 'ping') {
            reply($message, 'PONG');
        } else {
            my $text = "Session '$session' has not published state '$state'.  Request poe://Pulse/$session/$state"
                . " sent by poe://$message->{from}{kernel}/$message->{from}{session}/IKC:proxy";
            put({
                event => { kernel => $peer, session => 'IKC', state => 'remote_error' },
                is_error => 1,
                params => [$text, 'Pulse', 'check'],
            });
        }
    }
}
