# Running more than once.
# Laws: L85 (run without sessions returns at once; with some it returns when all are gone),
# L86 (any number of runs, IDs go on), L87 (stop inside a handler), L51 (a kernel stopped by
# a signal), L16.
use strict;
use warnings;
use POE;

$| = 1;
sub out { print @_, "\n" }

sub run {
  if   (eval { POE::Kernel->run; 1 }) { out "run returned" }
  else                               { out "run threw ", map { s/\n$//r } $@ }
}

my $last_id = 0;

sub session {
  my ($name, %states) = @_;
  my $start = delete $states{_start} || sub { };
  return POE::Session->create(
    inline_states => {
      _start => sub {
        my $id = $_[SESSION]->ID;
        out "$name _start, ID ", ($id > $last_id ? 'grows' : 'does not grow');
        $last_id = $id;
        $start->(@_);
      },
      _child => sub { },
      _stop  => sub { out "$name _stop" },
      event  => sub { out "$name event" },
      %states,
    },
  );
}

sub active {
  my $s = $poe_kernel->get_active_session;
  return $s == $poe_kernel ? 'kernel' : 'a session';
}

out "== no sessions";
run();
run();

out "== three times";
for my $n (1 .. 3) {
  session("S$n", _start => sub { $_[KERNEL]->yield('event') });
  out "active outside: ", active();
  run();
  out "active outside: ", active();
}

out "== nothing of an earlier run is left";
session('old', _start => sub {
  $_[KERNEL]->alias_set('name');
  $_[KERNEL]->sig(HELLO => 'event');
  $_[KERNEL]->delay(event => 1000);
  $_[KERNEL]->yield('go');
}, go => sub { $_[KERNEL]->signal($_[KERNEL] => 'TERM') });
run();
out "alias resolves: ", (defined $poe_kernel->alias_resolve('name') ? 'yes' : 'no');
session('new', _start => sub {
  out "alias_set: ", $_[KERNEL]->alias_set('name');
  $_[KERNEL]->alias_remove('name');
  $_[KERNEL]->signal($_[KERNEL] => 'HELLO');
});
run();

out "== stop in a handler";
session(
  'parent',
  _start => sub {
    $_[KERNEL]->alias_set('parent');
    session('child', _start => sub {
      $_[KERNEL]->alias_set('child');
      $_[KERNEL]->delay(event => 1000);
    });
    $_[KERNEL]->yield('go');
    $_[KERNEL]->yield('event');
  },
  go => sub {
    my $k = $_[KERNEL];
    my $id = $_[SESSION]->ID;
    out "active before: ", active(), ', ', $k->get_active_event;
    my $result = $k->stop;
    out "stop gave ", $result // 'undef';
    out "active after: ", active(), ', ', $k->get_active_event;
    out "this session resolves: ", (defined $k->ID_id_to_session($id) ? 'yes' : 'no');
    $k->yield('event');
    out "post to itself: ", $k->post($id => 'event') // 'undef';
    session('later', _start => sub { $_[KERNEL]->yield('event') });
    out "the handler ends";
  },
);
run();

out "== stop outside of run, with sessions";
session('S', _start => sub { $_[KERNEL]->yield('event') });
$poe_kernel->stop;
run();

out "== stop without sessions";
$poe_kernel->stop;
run();

out "== run again after a throw";
session('S', _start => sub { $_[KERNEL]->yield('boom') }, boom => sub { die "boom\n" });
run();
session('S', _start => sub { $_[KERNEL]->yield('event') });
run();

out "== a few slices, then run";
session('S', _start => sub { $_[KERNEL]->yield(count => 1) }, count => sub {
  out "count $_[ARG0]";
  $_[KERNEL]->yield(count => $_[ARG0] + 1) if $_[ARG0] < 4;
});
for (1 .. 2) {
  $poe_kernel->run_one_timeslice;
  out "slice";
}
run();

out "== run_while";
my $go_on = 1;
session('S', _start => sub { $_[KERNEL]->yield(count => 1) }, count => sub {
  out "count $_[ARG0]";
  $go_on = 0 if $_[ARG0] == 2;
  $_[KERNEL]->yield(count => $_[ARG0] + 1) if $_[ARG0] < 4;
});
$poe_kernel->run_while(\$go_on);
out "the flag fell";
run();
