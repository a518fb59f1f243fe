# How a session comes into being.
# Laws: L18 (order), L19 (nested), L20 (who is the parent), L22 (no _start, no session),
# L23 (a grace period for sessions that hold nothing), L24 (gone during _start),
# L25 (detach in _start), D10 (no _parent at creation).
use strict;
use warnings;
use POE;

$| = 1;
sub out { print @_, "\n" }

my %name;
sub nm {
  my $s = shift;
  return 'undef' unless defined $s;
  return 'kernel' if $s == $poe_kernel;
  return $name{ $s->ID } || '?';
}

# A session that tells all of its life.
sub session {
  my ($name, %states) = @_;
  my $start = delete $states{_start} || sub { "$name started" };
  my $args  = delete $states{args}   || [];
  return POE::Session->create(
    inline_states => {
      _start => sub {
        $name{ $_[SESSION]->ID } = $name;
        out "$name _start (sender ", nm($_[SENDER]), ")";
        my $value = $start->(@_);
        out "$name _start ends";
        return $value;
      },
      _child => sub {
        my ($why, $child, $value) = @_[ARG0 .. ARG2];
        out "$name _child $why ", nm($child),
          (@_ > ARG2 ? ' (' . ($value // 'undef') . ')' : ''), ", sender ", nm($_[SENDER]);
      },
      _parent => sub { out "$name _parent ", nm($_[ARG0]), " to ", nm($_[ARG1]) },
      _stop   => sub { out "$name _stop"; "$name stopped" },
      %states,
    },
    args => $args,
  );
}

out "== arguments of _start";
session('S', _start => sub { out "args: @_[ARG0 .. $#_]" }, args => [ 1, 'two', 3 ]);
POE::Kernel->run;

out "== nested: P makes C makes D";
session(
  'G',
  _start => sub {
    session(
      'P',
      _start => sub {
        session('C', _start => sub { session('D'); "C started" });
        out "P goes on";
        "P started";
      },
    );
    "G started";
  },
);
out "create returned";
POE::Kernel->run;

out "== made inside a called handler: child of the callee";
session(
  'callee',
  _start => sub { $_[KERNEL]->alias_set('callee') },
  make   => sub { session('made'); return },
  done   => sub { $_[KERNEL]->alias_remove('callee') },
);
session(
  'caller',
  _start => sub { $_[KERNEL]->yield('go') },
  go     => sub {
    $_[KERNEL]->call(callee => 'make');
    session('own');
    $_[KERNEL]->post(callee => 'done');
  },
);
POE::Kernel->run;

out "== a session that holds nothing may still be posted to by its creator";
session(
  'creator',
  _start => sub {
    my $child = session('bare', hello => sub { out "bare got hello" });
    out "post: ", $_[KERNEL]->post($child => 'hello');
  },
);
POE::Kernel->run;

out "== detach in _start: no create, no lose";
session(
  'old parent',
  _start => sub {
    session(
      'loner',
      _start => sub {
        out "detach: ", $_[KERNEL]->detach_myself;
        "loner started";
      },
    );
    session('stays');
  },
);
POE::Kernel->run;

out "== no _start: nothing is created";
{
  local $SIG{__WARN__} = sub { };
  my $nothing = POE::Session->create(
    inline_states => { _default => sub { out "_default!" }, _stop => sub { out "_stop!" } },
  );
  out "create returned ", defined $nothing ? 'a session' : 'nothing';
}
POE::Kernel->run;

out "== gone during _start: no create";
session(
  'watcher',
  _start => sub { $_[KERNEL]->alias_set('watcher'); $_[KERNEL]->yield('go') },
  go     => sub {
    my $child = session('brief', _start => sub { $_[KERNEL]->stop; 'never seen' });
    out "create returned ", defined $child ? 'a session' : 'nothing';
  },
);
POE::Kernel->run;

out "== IDs";
my @ids;
session('i', _start => sub { push @ids, $_[SESSION]->ID }) for 1 .. 3;
out "one more each time: ", ($ids[1] == $ids[0] + 1 && $ids[2] == $ids[1] + 1 ? 'yes' : 'no');
POE::Kernel->run;
