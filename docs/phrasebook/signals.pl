use strict; use warnings;
use POE;

POE::Session->create(
  inline_states => {
    _start => sub {
      my $kernel = $_[KERNEL];
      $kernel->alias_set('watcher');
      $kernel->sig(USR1 => 'usr1');
      $kernel->sig(INT => 'int');
      $kernel->delay(late => 20);
      kill USR1 => $$;
    },
    late => sub { print "no signal has come\n" },
    usr1 => sub {
      print "got SIG$_[ARG0]\n";
      $_[KERNEL]->signal($_[KERNEL], 'INT');
    },
    int   => sub { print "$_[ARG0] is terminal, and not handled\n" },
    _stop => sub { print "stopped\n" },
  },
);
POE::Kernel->run();
