use strict; use warnings;
use POE;

POE::Session->create(
  inline_states => {
    _start => sub {
      my $pid = fork();
      die "cannot fork: $!" unless defined $pid;
      exec('sh', '-c', 'exit 3') unless $pid;
      $_[KERNEL]->sig_child($pid, ended => 'the third');
    },
    ended => sub { print "$_[ARG3] exits with ", $_[ARG2] >> 8, "\n" },
  },
);
POE::Kernel->run();
