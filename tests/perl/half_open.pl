#!/usr/bin/env perl
# half_open.pl probe: can a TUN device be made here?
# half_open.pl chat|proxy PORT PID SYNS: sends so many bare SYNs from sources that do not exist to a server of that process,
# none of whose handshakes is ever finished, and asks it all along how it is, over the loopback device. To be run in a network
# namespace of its own. Dies when the server is not well, or when the connects were not half-open.
use strict;
use warnings;
use Fcntl;
use IO::Select;
use IO::Socket::INET;
use Socket qw(inet_aton);
use Time::HiRes qw(time sleep);

use constant { TUNSETIFF => 0x400454ca, IFF_TUN => 1, IFF_NO_PI => 0x1000 };

$| = 1;
my ($kind, $port, $pid, $syns) = @ARGV;

sysopen my $tun, '/dev/net/tun', O_RDWR | O_NONBLOCK or die "/dev/net/tun: $!\n";
my $request = pack 'a16 S x22', 'halfopen', IFF_TUN | IFF_NO_PI;
ioctl $tun, TUNSETIFF, $request or die "a TUN device: $!\n";
exit if $kind eq 'probe';
# Everything else in 10.0.0.0/8 is behind the device: where nobody is.
my $here = '10.0.0.1';
system('ip', 'addr', 'add', "$here/8", 'dev', 'halfopen') == 0 or die "no address\n";
system('ip', 'link', 'set', 'halfopen', 'up') == 0 or die "the device does not come up\n";

# The Internet's checksum.
sub checksum {
  my $sum = unpack '%32n*', $_[0];
  $sum = ($sum & 0xffff) + ($sum >> 16) while $sum >> 16;
  return ~$sum & 0xffff;
}

my $target = inet_aton($here);
sub syn {
  my ($source, $from) = @_;
  my $tcp = pack 'nnNNCCnnn CCn', $from, $port, int rand 2**32, 0, 6 << 4, 2, 65535, 0, 0, 2, 4, 1460;
  substr $tcp, 16, 2, pack 'n', checksum($source . $target . pack('nn', 6, length $tcp) . $tcp);
  my $ip = pack 'CCnnnCCn', 0x45, 0, 20 + length $tcp, int rand 65536, 0, 64, 6, 0;
  substr $ip, 10, 2, pack 'n', checksum($ip . $source . $target);
  return $ip . $source . $target . $tcp;
}

# Sends them in ten seconds or so, and reads what the system answers to nobody.
sub flood {
  my ($sent, $answered) = (0, 0);
  while ($sent < $syns) {
    for (1 .. 200) {
      my $source = pack 'CCCC', 10, 1 + int rand 250, int rand 256, 1 + int rand 254;
      defined syswrite $tun, syn($source, 1024 + int rand 60000) or die "sending a SYN: $!";
      $sent++;
    }
    while (sysread $tun, my $packet, 2048) {
      # TCP, SYN and ACK.
      $answered++ if 6 == ord(substr $packet, 9, 1) && 0x12 == ord(substr $packet, 33, 1);
    }
    sleep 200 * 10 / $syns;
  }
  return ($sent, $answered);
}

# Connections to the server whose handshake is not finished, as the system sees them.
sub half_open {
  my $hex = sprintf ':%04X', $port;
  my $count = 0;
  for my $table ('/proc/net/tcp', '/proc/net/tcp6') {
    open my $lines, '<', $table or next;
    while (<$lines>) { my (undef, $local, undef, $state) = split; $count++ if $local =~ /\Q$hex\E\z/ && $state eq '03' }
  }
  return $count;
}

# counter(Tcp, PassiveOpens): one of the namespace's counters, of two lines each: names and numbers.
sub counter {
  my ($group, $name) = @_;
  for my $file ('/proc/net/snmp', '/proc/net/netstat') {
    open my $lines, '<', $file or next;
    while (my $names = <$lines>) {
      my @names = split ' ', $names;
      my @numbers = split ' ', scalar <$lines>;
      next unless $names[0] eq "$group:";
      for my $n (1 .. $#names) { return $numbers[$n] if $names[$n] eq $name }
    }
  }
  return 0;
}

sub descriptors { opendir my $dir, "/proc/$pid/fd" or die "process $pid: $!"; return grep { !/^\./ } readdir $dir }
sub resident { open my $status, '<', "/proc/$pid/status" or die "process $pid: $!"; /^VmRSS:\s+(\d+)/ and return $1 while <$status>; die }

my (%rest, $connects);
sub connection {
  $connects++;
  my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port", Proto => 'tcp', Timeout => 5) or die "connecting: $@";
  return $socket;
}

# Reads until that has come.
sub hears {
  my ($socket, $what) = @_;
  my $deadline = time + 5;
  until ($rest{$socket} && $rest{$socket} =~ s/\A.*?\Q$what\E[^\n]*\n//s) {
    my $left = $deadline - time;
    die "no '$what' within five seconds" if $left <= 0;
    next unless IO::Select->new($socket)->can_read($left);
    sysread $socket, $rest{$socket}, 65536, length($rest{$socket} // '') or die "the end came instead of '$what'";
  }
}

my ($asked, $slowest) = (0, 0);
sub asks {
  my ($socket, $began) = (shift, time);
  $asked++;
  syswrite $socket, "question $asked\r\n";
  hears($socket, "question $asked");
  my $took = time - $began;
  $slowest = $took if $took > $slowest;
}

# Without SYN cookies a full queue of half-open connects refuses whoever comes, and the server can do nothing about it.
my $cookies_are_on = do { open my $file, '<', '/proc/sys/net/ipv4/tcp_syncookies'; $file && 0 < (<$file> // 0) };

# Somebody new comes, asks, and goes.
sub newcomer {
  my $began = time;
  my $socket = connection();
  asks($socket);
  delete $rest{$socket};
  close $socket;
  my $took = time - $began;
  $slowest = $took if $took > $slowest;
}

my $friend = connection();
# What the server allocates once it has by then.
asks($friend) for 1 .. 200;
newcomer() for 1 .. 50;
sleep 1.5;
my ($descriptors, $resident, $passive) = (scalar descriptors(), resident(), counter('Tcp', 'PassiveOpens'));
my $cookies = counter('TcpExt', 'SyncookiesSent');
$connects = 0;

pipe my $told, my $tells or die "pipe: $!";
my $flooder = fork // die "fork: $!";
if (!$flooder) { close $told; syswrite $tells, join ' ', flood(); exit }
close $tells;
my ($most_open, $most_descriptors, $round) = (0, 0, 0);
until (IO::Select->new($told)->can_read(0.01)) {
  asks($friend);
  newcomer() if $cookies_are_on && $round % 10 == 0;
  if ($round++ % 25 == 0) {
    my ($open, $now) = (half_open(), scalar descriptors());
    $most_open = $open if $open > $most_open;
    $most_descriptors = $now if $now > $most_descriptors;
  }
}
sysread $told, my $numbers, 100 or die "the flood came to nothing\n";
my ($sent, $answered) = split ' ', $numbers;
waitpid $flooder, 0;
my $open = half_open();
$most_open = $open if $open > $most_open;
asks($friend);
# Those who have just left are let go of.
sleep 1.5;
my ($after, $grown) = (scalar descriptors(), resident() - $resident);
$passive = counter('Tcp', 'PassiveOpens') - $passive;
$cookies = counter('TcpExt', 'SyncookiesSent') - $cookies;

printf "   %s: %d bare SYNs, %d answers to nobody, %d of them by cookies; %d half-open at a time, %d still; %d finished, %d by us\n",
  $kind, $sent, $answered, $cookies, $most_open, $open, $passive, $connects;
printf "   %s: %d questions and %d newcomers meanwhile, the slowest answer after %.0f ms; descriptors %d, %d at most, %d after; %+d KiB resident\n",
  $kind, $asked - 250, $connects, 1000 * $slowest, $descriptors, $most_descriptors, $after, $grown;

# It was what it claims to be: each was answered, none finished, and the system has kept what it could.
die "only $sent SYNs\n" if $sent < $syns;
die "no more than $most_open were half-open at a time\n" if $most_open < 1000;
# The proxy connects to the echo server, which is in this namespace, too.
my $ours = $connects * ($kind eq 'proxy' ? 2 : 1);
die "$passive handshakes were finished, and $ours of them by us\n" if $passive != $ours;
die "an answer took $slowest s\n" if $slowest > 1;
# One newcomer at a time, who is gone a moment later than he knows.
die "descriptors went from $descriptors to $most_descriptors\n" if $most_descriptors > $descriptors + 10;
die "descriptors went from $descriptors to $after\n" if $after > $descriptors;
die "the server has grown by $grown KiB\n" if $grown > 1024;
