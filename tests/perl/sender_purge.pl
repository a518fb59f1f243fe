# What becomes of a message when its sender or its target goes.
# Laws: L9 (freeing a session purges what it sent and what it was sent), L26 (an event in the
# queue holds both), L45 (signals as well), L7.
use strict;
use warnings;
use POE;

$| = 1;
sub out { print @_, "\n" }

my %name;
sub nm { my $s = shift; $s == $poe_kernel ? 'kernel' : $name{ $s->ID } || '?' }

sub session {
  my ($name, %states) = @_;
  my $start = delete $states{_start} || sub { };
  return POE::Session->create(
    inline_states => {
      _start => sub {
        $name{ $_[SESSION]->ID } = $name;
        $_[KERNEL]->alias_set($name);
        $_[KERNEL]->sig(HELLO => 'heard');
        $start->(@_);
      },
      go_away => sub { $_[KERNEL]->alias_remove($name) },
      hello   => sub { out "$name hears $_[ARG0] from ", nm($_[SENDER]) },
      heard   => sub { out "$name hears $_[ARG0] ($_[ARG1])" },
      _stop   => sub { out "$name _stop" },
      %states,
    },
  );
}

sub receiver {
  session('receiver', _start => sub {
    $_[KERNEL]->delay(hello => 0.03, 'its own timer');
    $_[KERNEL]->delay(go_away => 0.05);
  });
}

out "== a sender that ends by itself stays until its message has arrived";
receiver();
session('sender', _start => sub {
  $_[KERNEL]->post(receiver => hello => 'a message');
  $_[KERNEL]->alias_remove('sender');
});
POE::Kernel->run;

out "== a killed sender takes its messages along";
receiver();
session(
  'sender',
  _start => sub { $_[KERNEL]->yield('go') },
  go     => sub {
    my ($k, $me) = @_[KERNEL, SESSION];
    $k->post(receiver => hello => 'sent before the signal');
    $k->signal($me => 'TERM');
    $k->post(receiver => hello => 'sent after the signal');
    $k->signal(receiver => 'HELLO', 'sent after the signal');
  },
);
session('third', _start => sub { $_[KERNEL]->yield('go') }, go => sub {
  $_[KERNEL]->post(receiver => hello => 'a healthy message');
  $_[KERNEL]->alias_remove('third');
});
POE::Kernel->run;

out "== what was sent on behalf of another, by calling it, belongs to that one";
receiver();
session('agent', relay => sub { $_[KERNEL]->post(receiver => hello => $_[ARG0]) });
session(
  'sender',
  _start => sub { $_[KERNEL]->yield('go') },
  go     => sub {
    my ($k, $me) = @_[KERNEL, SESSION];
    $k->signal($me => 'TERM');
    $k->call(agent => relay => 'relayed');
    $k->post(receiver => hello => 'direct');
  },
);
$poe_kernel->post(agent => 'go_away');
POE::Kernel->run;

out "== a killed target: its messages vanish, their senders are free";
session('target', _start => sub { $_[KERNEL]->delay(hello => 0.02, 'a timer') });
session(
  'sender',
  _start => sub { $_[KERNEL]->yield('go') },
  go     => sub {
    my $k = $_[KERNEL];
    $k->signal(target => 'TERM');
    $k->post(target => hello => 'too late');
    $k->alias_remove('sender');
  },
);
POE::Kernel->run;

out "== with stop everything goes";
session(
  'receiver',
  _start => sub {
    $_[KERNEL]->yield('go');
    session('sender', _start => sub { $_[KERNEL]->post(receiver => hello => 'never heard') });
  },
  go     => sub { $_[KERNEL]->stop; out "queued items: ", $_[KERNEL]->get_event_count },
  _child => sub { },
);
POE::Kernel->run;
