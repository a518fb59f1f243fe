# Postbacks.
# Laws: L72 (they hold their session until dropped or weakened), L73 (arguments, SENDER),
# L74 (after the session's death), L64 (CALLER_STATE is the event during which it was
# invoked), L27 (a weakened one holds nothing).
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

sub session {
  my ($name, %states) = @_;
  my $start = delete $states{_start} || sub { };
  return POE::Session->create(
    inline_states => {
      _start => sub { $name{ $_[SESSION]->ID } = $name; $start->(@_); "$name started" },
      _child => sub { },
      _stop  => sub { out "$name _stop" },
      answer => sub {
        my ($mine, $theirs) = @_[ARG0, ARG1];
        out "$name.answer (@$mine) (@$theirs), sender ", nm($_[SENDER]),
          ", caller state ", $_[CALLER_STATE] // 'undef';
      },
      %states,
    },
  );
}

out "== arguments, result, sender, caller state";
session(
  'server',
  _start => sub { $_[KERNEL]->alias_set('server') },
  ask    => sub {
    my $postback = $_[ARG0];
    out "server invokes it: ", $postback->('a', 'b');
    out "and again: ",         $postback->();
  },
  done => sub { $_[KERNEL]->alias_remove('server') },
);
session(
  'client',
  _start => sub { $_[KERNEL]->yield('go') },
  go     => sub {
    my ($k, $me) = @_[KERNEL, SESSION];
    my $postback = $me->postback('answer', 1, 2);
    $k->post(server => ask => $postback);
    out "client invokes its own: ", $postback->('c');
    $k->post(server => 'done');
  },
);
POE::Kernel->run;

out "== invoked outside any session";
{
  my $postback;
  session('S', _start => sub { $postback = $_[SESSION]->postback('answer', 'mine') });
  out "result: ", $postback->('theirs');
  undef $postback;
}
POE::Kernel->run;

out "== in a self-call the caller state is the outer event";
session(
  'S',
  _start => sub { $_[KERNEL]->yield('outer') },
  outer  => sub { $_[KERNEL]->call($_[SESSION], 'inner') },
  inner  => sub { my $postback = $_[SESSION]->postback('answer'); $postback->() },
);
POE::Kernel->run;

out "== each one holds its session, however many";
session(
  'S',
  _start => sub {
    my ($k, $me) = @_[KERNEL, SESSION];
    my $id   = $me->ID;
    my @held = map { $me->postback('answer', $_) } 1 .. 2;
    session(
      'holder',
      _start => sub { $_[KERNEL]->detach_myself; $_[KERNEL]->delay(first => 0.02) },
      first  => sub {
        out "S is there: ", nm($_[KERNEL]->ID_id_to_session($id));
        shift @held;
        $_[KERNEL]->delay(second => 0.02);
      },
      second => sub {
        out "S is there: ", nm($_[KERNEL]->ID_id_to_session($id));
        $held[0]->('last');
        @held = ();
        $_[KERNEL]->delay(third => 0.02);
      },
      third => sub { out "S is there: ", nm($_[KERNEL]->ID_id_to_session($id)) },
    );
  },
  _parent => sub { },
);
POE::Kernel->run;

out "== after the session was killed";
{
  my $postback;
  my $victim = session(
    'victim',
    _start => sub { $postback = $_[SESSION]->postback('answer', 'mine') },
  );
  session(
    'killer',
    _start => sub { $_[KERNEL]->signal($victim => 'TERM'); undef $victim; $_[KERNEL]->delay(go => 0.02) },
    go     => sub {
      out "result: ", $postback->('theirs');
      undef $postback;
      out "dropped";
    },
  );
}
POE::Kernel->run;

out "== weakened: it holds nothing, and works while the session lives";
{
  my $weak;
  session(
    'S',
    _start => sub {
      my $me = $_[SESSION];
      $weak = $me->postback('answer', 'mine');
      out "weaken gives itself: ", ($weak->weaken == $weak ? 'yes' : 'no');
      $weak->weaken;
      $_[KERNEL]->delay(timer => 0.02);
    },
    timer => sub { out "S timer"; $weak->('from within') },
  );
  session(
    'other',
    _start => sub { $_[KERNEL]->delay(go => 0.04) },
    go     => sub {
      out "after its death: ", $weak->('too late');
      undef $weak;
    },
  );
}
POE::Kernel->run;

out "== a postback in an argument list is dropped after the event";
session('receiver', _start => sub { $_[KERNEL]->alias_set('receiver') }, take => sub { out "taken" });
session(
  'S',
  _start => sub {
    my ($k, $me) = @_[KERNEL, SESSION];
    $k->post(receiver => take => $me->postback('answer'));
  },
);
POE::Kernel->run;
