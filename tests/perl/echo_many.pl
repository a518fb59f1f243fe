# A crowd for the echo server: opens so many connections that all are open at once, sends a line on each, then reads
# each one's line back. Arguments: the port, how many.
use strict;
use warnings;
use IO::Socket::INET;

my ($port, $many) = @ARGV;
my @clients = map {
  IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $port, Timeout => 10) or die "client $_: $@\n"
} 1 .. $many;
for my $n (0 .. $#clients) {
  $clients[$n]->autoflush(1);
  print { $clients[$n] } "line of client $n\n";
}
for my $n (0 .. $#clients) {
  my $line = readline $clients[$n];
  defined $line && $line eq "line of client $n\n" or die "client $n was answered wrongly\n";
}
print "$many clients were answered\n";
