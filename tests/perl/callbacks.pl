# Callbacks.
# Laws: L72-L74 (like postbacks, but the handler runs at once and its result comes back),
# L13 (SENDER and CALLER_STATE as for call).
use strict;
use warnings;
use POE;
use Errno qw(ESRCH);

$| = 1;
sub out { print @_, "\n" }

my %name;
sub nm {
  my $s = shift;
  return 'undef' unless defined $s;
  return 'kernel' if $s == $poe_kernel;
  return $name{ $s->ID } || '?';
}

sub session {
  my ($name, %states) = @_;
  my $start = delete $states{_start} || sub { };
  return POE::Session->create(
    inline_states => {
      _start => sub { $name{ $_[SESSION]->ID } = $name; $start->(@_); "$name started" },
      _child => sub { },
      _stop  => sub { out "$name _stop" },
      double => sub {
        my ($mine, $theirs) = @_[ARG0, ARG1];
        out "$name.double (@$mine) (@$theirs), sender ", nm($_[SENDER]),
          ", caller state ", $_[CALLER_STATE] // 'undef',
          ", active ", $_[KERNEL]->get_active_event;
        return 2 * $theirs->[0];
      },
      %states,
    },
  );
}

sub answer {
  my ($what, $code) = @_;
  $! = 0;
  my $value = $code->();
  my $n = 0 + $!;
  out "$what: ", defined $value ? $value : 'undef, error ' . ($n == ESRCH ? 'ESRCH' : $n);
}

out "== from another session";
session(
  'server',
  _start => sub { $_[KERNEL]->alias_set('server') },
  ask    => sub {
    my $callback = $_[ARG0];
    answer 'server gets', sub { scalar $callback->(21) };
    out "server goes on";
  },
  done => sub { $_[KERNEL]->alias_remove('server') },
);
session(
  'client',
  _start => sub { $_[KERNEL]->yield('go') },
  go     => sub {
    my ($k, $me) = @_[KERNEL, SESSION];
    $k->post(server => ask => $me->callback('double', 'mine'));
    $k->post(server => 'done');
  },
);
POE::Kernel->run;

out "== from the session itself: as in a self-call";
session(
  'S',
  _start => sub { $_[KERNEL]->yield('go') },
  go     => sub {
    my $callback = $_[SESSION]->callback('double', 1, 2);
    $_[KERNEL]->yield('queued');
    answer 'result', sub { scalar $callback->(4) };
  },
  queued => sub { out "S.queued" },
);
POE::Kernel->run;

out "== outside any session";
{
  my $callback;
  session('S', _start => sub { $callback = $_[SESSION]->callback('double', 'mine') });
  answer 'result', sub { scalar $callback->(5) };
  undef $callback;
}
POE::Kernel->run;

out "== it holds its session, and shares the tag of the postbacks";
session(
  'S',
  _start => sub {
    my $me = $_[SESSION];
    my $id = $me->ID;
    my $callback = $me->callback('double');
    my $postback = $me->postback('double');
    session(
      'holder',
      _start => sub { $_[KERNEL]->detach_myself; $_[KERNEL]->delay(first => 0.02) },
      first  => sub {
        undef $postback;
        $_[KERNEL]->delay(second => 0.02);
      },
      second => sub {
        answer 'still there', sub { scalar $callback->(6) };
        undef $callback;
        $_[KERNEL]->delay(third => 0.02);
      },
      third => sub { out "S is there: ", nm($_[KERNEL]->ID_id_to_session($id)) },
    );
  },
  _parent => sub { },
);
POE::Kernel->run;

out "== after the session's death, and weakened";
{
  my ($callback, $weak);
  my $victim = session(
    'victim',
    _start => sub { $callback = $_[SESSION]->callback('double') },
  );
  session('weak', _start => sub { $weak = $_[SESSION]->callback('double')->weaken });
  session(
    'killer',
    _start => sub {
      $_[KERNEL]->signal($victim => 'TERM');
      undef $victim;
      answer 'weak one, session there', sub { scalar $weak->(7) };
      $_[KERNEL]->delay(go => 0.02);
    },
    go => sub {
      answer 'victim is gone', sub { scalar $callback->(8) };
      answer 'weak one is gone', sub { scalar $weak->(9) };
      undef $callback;
      undef $weak;
    },
  );
}
POE::Kernel->run;
