#!/usr/bin/env perl
# load.pl chat|proxy HOST:PORT IDLE: loads a server, and asks it all along how it is. Dies when it is not well.
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;
use Socket qw(SOL_SOCKET SO_LINGER SO_RCVBUF);
use Time::HiRes qw(time sleep);

$| = 1;
$SIG{PIPE} = 'IGNORE';
my ($kind, $address, $idle) = @ARGV;

sub connection {
  my @options = @_;
  my $socket = IO::Socket::INET->new(PeerAddr => $address, Proto => 'tcp', Timeout => 10, @options)
    or die "connecting to $address: $@";
  return $socket;
}

# Reads until that has come; the deadline is what "notices nothing" means.
my %rest;
sub hears {
  my ($socket, $what, $limit) = @_;
  my $deadline = time + ($limit || 5);
  while (1) {
    if ($rest{$socket} && $rest{$socket} =~ s/\A(.*?\Q$what\E[^\n]*\n)//s) { return $1 }
    my $left = $deadline - time;
    die "no $what within time" if $left <= 0;
    next unless IO::Select->new($socket)->can_read($left);
    sysread($socket, $rest{$socket}, 65536, length($rest{$socket} // '')) or die "the end came instead of $what";
    # Only the end matters of what is waited through.
    $rest{$socket} = substr($rest{$socket}, -4096) if length $rest{$socket} > 1_000_000;
  }
}

my ($asked, $slowest) = (0, 0);
my $friend = connection();
if ($kind eq 'chat') { syswrite $friend, "/join quiet\r\n"; hears($friend, 'joined quiet') }

# A question that must be answered at once, whatever the others do.
sub well {
  my $began = time;
  $asked++;
  syswrite $friend, "question $asked\r\n";
  hears($friend, "question $asked");
  my $took = time - $began;
  $slowest = $took if $took > $slowest;
}

sub step { my ($what, $work) = @_; my $began = time; $work->(); well(); printf "   %s %s: %.1f s\n", $kind, $what, time - $began }

my @idle;
step "$idle idle connections", sub {
  for my $n (1 .. $idle) {
    my $socket = connection();
    # Everybody in one room would be told of everybody: each goes to a room of its own.
    if ($kind eq 'chat') { syswrite $socket, "/join r$n\r\n"; hears($socket, "joined r$n"); delete $rest{$socket} }
    push @idle, $socket;
    well() if $n % 500 == 0;
  }
};

step 'a client that never reads', sub {
  my $deaf = connection();
  my $line = 'x' x 900;
  $deaf->blocking(0);
  my ($sent, $stuck, $deadline) = (0, 0, time + 20);
  while ($sent < 200_000_000 && time < $deadline) {
    my $n = syswrite $deaf, "$line\r\n" x 64;
    if (defined $n) { $sent += $n; $stuck = 0 }
    elsif ($!{EAGAIN}) { last if ++$stuck > 40; sleep 0.05 }
    else { last }                                  # dropped, as it should be
    well() if int($sent / 58_000) % 200 == 0;
  }
  close $deaf;
};

step 'a gigabyte without a newline', sub {
  my $endless = connection();
  my $piece = 'y' x 1_000_000;
  my $reader = fork // die "fork: $!";
  # Whoever echoes must be read, or there is nothing but back-pressure.
  if (!$reader) { 1 while sysread $endless, my $buffer, 1_000_000; exit }
  for my $n (1 .. 1000) {
    last unless defined syswrite $endless, $piece;   # closed, as it should be
    well() if $n % 100 == 0;
  }
  shutdown $endless, 2;
  close $endless;
  waitpid $reader, 0;
};

step 'a flood of connections that come to nothing', sub {
  for my $n (1 .. 20_000) {
    my $socket = IO::Socket::INET->new(PeerAddr => $address, Proto => 'tcp', Blocking => 0) or next;
    # Half of them are reset as soon as they are made.
    setsockopt $socket, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0) if $n % 2;
    close $socket;
    well() if $n % 1000 == 0;
  }
};

# The idle ones are all there, and are served.
step 'the idle ones are served', sub {
  for my $n (1 .. $idle) {
    next if $n % 10;
    my $socket = $idle[$n - 1];
    syswrite $socket, "still here $n\r\n";
    hears($socket, "still here $n");
  }
};
printf "   %s: %d questions, the slowest answer after %.0f ms\n", $kind, $asked, 1000 * $slowest;
die "an answer took $slowest s" if $slowest > 5;
