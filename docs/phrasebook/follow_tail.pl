use strict; use warnings;
use POE qw(Wheel::FollowTail);

my $log = "/tmp/poe-phrasebook-$$.log";
sub append { open(my $fh, '>>', $log) or die "$log: $!"; print $fh @_; close $fh }

append("old\n");
POE::Session->create(
  inline_states => {
    _start => sub {
      $_[HEAP]{tail} = POE::Wheel::FollowTail->new(
        Filename     => $log,
        InputEvent   => 'line',
        ResetEvent   => 'rotated',
        PollInterval => 0.02,
        SeekBack     => 0,
      );
      append("new\n");
    },
    line => sub {
      print "line: $_[ARG0]\n";
      if ($_[ARG0] eq 'new') {
        rename($log, "$log.1");
        append("after\n");
      }
      delete $_[HEAP]{tail} if $_[ARG0] eq 'after';
    },
    rotated => sub { print "rotated\n" },
    _stop   => sub { unlink $log, "$log.1" },
  },
);
POE::Kernel->run();
