use strict; use warnings;
use Socket;
use POE qw(Wheel::ReadWrite Filter::Line);

POE::Session->create(
  inline_states => {
    _start => sub {
      my $heap = $_[HEAP];
      socketpair(my $ours, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die "no sockets: $!";
      syswrite($theirs, "hello\nworld\n");
      $heap->{theirs} = $theirs;
      $heap->{wheel} = POE::Wheel::ReadWrite->new(
        Handle       => $ours,
        Filter       => POE::Filter::Line->new(),
        InputEvent   => 'line',
        FlushedEvent => 'flushed',
        ErrorEvent   => 'failed',
      );
    },
    line => sub {
      print "line: $_[ARG0]\n";
      $_[HEAP]{wheel}->put(uc $_[ARG0]);
    },
    flushed => sub {
      sysread($_[HEAP]{theirs}, my $bytes, 100);
      $bytes =~ s/\r\n/|/g;
      print "flushed: $bytes\n";
      close(delete $_[HEAP]{theirs});
    },
    failed => sub {
      print "the end\n" if $_[ARG1] == 0;
      delete $_[HEAP]{wheel};
    },
  },
);
POE::Kernel->run();
