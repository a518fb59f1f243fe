use strict; use warnings;
use Socket;
use POE qw(Wheel::ReadWrite Filter::Line Filter::Stream);

# Lines, until the peer says "stream"; then bytes as they come.
POE::Session->create(
  inline_states => {
    _start => sub {
      my $heap = $_[HEAP];
      socketpair(my $ours, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die "no sockets: $!";
      syswrite($theirs, "hello\nstream\n\x01\x02");
      $heap->{theirs} = $theirs;
      $heap->{wheel} = POE::Wheel::ReadWrite->new(
        Handle       => $ours,
        Filter       => POE::Filter::Line->new(),
        InputEvent   => 'line',
        FlushedEvent => 'flushed',
      );
    },
    line => sub {
      my $wheel = $_[HEAP]{wheel};
      print "line: $_[ARG0]\n";
      $wheel->put(uc $_[ARG0]);
      if ($_[ARG0] eq 'stream') {
        $wheel->event(InputEvent => 'bytes');
        $wheel->set_filter(POE::Filter::Stream->new());
      }
    },
    bytes => sub {
      print length($_[ARG0]), " bytes\n";
      $_[HEAP]{wheel}->put($_[ARG0]);
      $_[HEAP]{done} = 1;
    },
    flushed => sub {
      return unless $_[HEAP]{done};
      sysread($_[HEAP]{theirs}, my $bytes, 100);
      $bytes =~ s/\r\n/|/g;
      $bytes =~ s/([\x00-\x1f])/sprintf('\x%02x', ord $1)/ge;
      print "flushed: $bytes\n";
      delete $_[HEAP]{wheel};
    },
  },
);
POE::Kernel->run();
