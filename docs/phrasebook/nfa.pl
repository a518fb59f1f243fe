use strict; use warnings;
use POE qw(NFA);

my $light = POE::NFA->spawn(
  runstate      => { pushes => 0 },
  inline_states => {
    off => {
      enter => sub { print "off\n" },
      push  => sub { $_[RUNSTATE]{pushes}++; $_[MACHINE]->goto_state('on', 'enter') },
    },
    on => {
      enter => sub {
        print "on after $_[RUNSTATE]{pushes}\n";
        $_[KERNEL]->yield('push');
      },
      push  => sub { $_[MACHINE]->goto_state('off', 'enter') },
      leave => sub { print "leaving on\n" },
    },
  },
);
$light->goto_state('off', 'enter');
$poe_kernel->post($light => 'push');
POE::Kernel->run();
