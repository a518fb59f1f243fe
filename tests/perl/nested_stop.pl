# POE's ses_session, its end: four sessions, each the child of the one before, with timers
# and aliases; the first calls stop. Then the kernel runs anew.
# Laws: L32, L36, L87 (stop), L86 (run again), D9.
use strict;
use warnings;
use POE;

$| = 1;
sub out { print @_, "\n" }

my @when;

sub nest {
  my ($n, $depth, $last) = @_;
  POE::Session->create(
    inline_states => {
      _start => sub {
        out "$n _start";
        nest($n + 1, $depth, $last) if $n < $depth;
        $_[KERNEL]->delay(nonexistent => 3600);
        $_[KERNEL]->alias_set("test$n");
        $_[KERNEL]->yield('stop') if $n == $last;
        out "$n _start ends";
      },
      _parent => sub { out "$n _parent!" },
      _child  => sub { out "$n _child $_[ARG0]" },
      _stop   => sub { out "$n _stop, active ", $_[KERNEL]->get_active_session == $_[SESSION] ? 'itself' : 'another' },
      stop    => sub {
        out "$n stops the kernel";
        $_[KERNEL]->stop;
        out "stopped; active ", $_[KERNEL]->get_active_session == $poe_kernel ? 'kernel' : 'another',
          ", event ", $_[KERNEL]->get_active_event, ", ", $_[KERNEL]->get_event_count, " events";
        out "aliases left: ", join ' ', grep { defined $poe_kernel->alias_resolve("test$_") } 1 .. $depth;
      },
    },
  );
}

out "== the outermost stops the kernel";
nest(1, 4, 1);
POE::Kernel->run;
out "run returned";

out "== the innermost does";
nest(1, 4, 4);
POE::Kernel->run;
out "run returned";

out "== and a new run works";
POE::Session->create(
  inline_states => {
    _start => sub { out "_start"; $_[KERNEL]->yield('woot'); $_[KERNEL]->delay(narf => 0.02) },
    woot   => sub { out "woot" },
    narf   => sub { out "narf" },
    _stop  => sub { out "_stop" },
  },
);
POE::Kernel->run;
out "run returned";
