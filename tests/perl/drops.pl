# When values are let go: arguments after their handler, heaps after _stop, a timer's with it.
# Laws: L9, L27, L32, L72; R8 of what must differ. After steinert-passed-wheel and the
# destruction counts of ses_session.
use strict;
use warnings;
use POE;

$| = 1;
sub out { print @_, "\n" }

package Thing;
sub new     { my ($class, $name) = @_; return bless { name => $name }, $class }
sub DESTROY { print "$_[0]{name} is gone\n" }

package main;

sub session {
  my ($name, %states) = @_;
  return POE::Session->create(
    inline_states => { _start => sub { }, _child => sub { }, _stop => sub { out "$name _stop" }, %states },
  );
}

out "== an argument goes after its handler, before the next event";
session(
  'S',
  _start => sub {
    $_[KERNEL]->yield(take => Thing->new('first'));
    $_[KERNEL]->yield(take => Thing->new('second'));
  },
  take => sub { out "handler" },
);
POE::Kernel->run;

out "== one that nobody handles as well";
session(
  'S',
  _start => sub {
    $_[KERNEL]->yield(nothing => Thing->new('argument'));
    $_[KERNEL]->yield('next');
  },
  next => sub { out "next" },
);
POE::Kernel->run;

out "== a handler may keep it, until the heap goes behind _stop";
session(
  'S',
  _start => sub { $_[KERNEL]->yield(take => Thing->new('kept')) },
  take   => sub { $_[HEAP]{kept} = $_[ARG0]; out "handler"; $_[KERNEL]->yield('next') },
  next   => sub { out "next" },
);
POE::Kernel->run;

out "== a heap goes before the parent's does, each behind its own _stop";
session(
  'P',
  _start => sub {
    $_[HEAP]{thing} = Thing->new("P's heap");
    session(
      'C',
      _start => sub { $_[HEAP]{thing} = Thing->new("C's heap"); $_[KERNEL]->delay(bye => 0.02) },
      bye    => sub { out "bye" },
    );
  },
  _child => sub { out "P _child $_[ARG0]" },
);
POE::Kernel->run;

out "== a timer that is cleared, replaced or removed lets go of its argument at once";
session(
  'S',
  _start => sub {
    $_[KERNEL]->delay(timer => 1, Thing->new('cleared'));
    out "clear";
    $_[KERNEL]->delay('timer');
    $_[KERNEL]->delay(timer => 1, Thing->new('replaced'));
    out "replace";
    $_[KERNEL]->delay(timer => 0.01, Thing->new('rings'));
    my $id = $_[KERNEL]->delay_set(other => 1, Thing->new('removed'));
    out "remove";
    $_[KERNEL]->alarm_remove($id);
    out "done";
  },
  timer => sub { out "timer" },
);
POE::Kernel->run;

out "== what waits for a killed session goes with it, what its posts held as well";
{
  my $other = session('other', _start => sub { $_[KERNEL]->delay(bye => 0.05) }, bye => sub { out "other leaves" },
    take => sub { out "take!" })->ID;
  session(
    'killer',
    _start => sub { $_[KERNEL]->yield('kill') },
    kill   => sub {
      my $victim = session('victim', send => sub { $_[KERNEL]->post($other => take => Thing->new('from it')) });
      my $id = $victim->ID;
      $_[KERNEL]->signal($id => 'KILL');
      $_[KERNEL]->post($id => take => Thing->new('to it'));
      $_[KERNEL]->call($id => 'send');
      out "sent";
    },
  );
}
POE::Kernel->run;

out "== a postback's own argument goes with the postback";
session(
  'S',
  _start => sub {
    my $postback = $_[SESSION]->postback(back => Thing->new('its own'));
    $postback->(1);
    $_[KERNEL]->yield(drop => $postback);
  },
  back => sub { out "back" },
  drop => sub { out "drop" },
);
POE::Kernel->run;
out "end";
