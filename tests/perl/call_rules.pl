# `call` against `post`.
# Laws: L12-L17 (at once, nests, active session and event; self-calls; results; exceptions;
# the kernel as a target; no hold on the caller), L64 (CALLER_STATE), L65 (SENDER).
# A line that begins with [D6] shows where the Rust crate tells "no handler" apart.
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

# Who runs, as what, sent by whom, during which event.
sub facts {
  my $k = $_[KERNEL];
  return sprintf '%s.%s: sender %s, caller state %s, active %s %s',
    nm($_[SESSION]), $_[STATE], nm($_[SENDER]), $_[CALLER_STATE] // 'undef',
    nm($k->get_active_session), $k->get_active_event // 'undef';
}

sub err { my $n = 0 + $!; $n == 0 ? 'none' : $n == ESRCH ? 'ESRCH' : $n }

sub answer {
  my ($what, $code) = @_;
  $! = 0;
  my $value = $code->();
  my $error = err();
  out "$what: ", $value // 'undef', ", error $error";
}

sub session {
  my ($name, %states) = @_;
  my $start = delete $states{_start} || sub { };
  my $args  = delete $states{args}   || [];
  return POE::Session->create(
    inline_states => {
      _start => sub { $name{ $_[SESSION]->ID } = $name; $start->(@_) },
      _stop  => sub { },
      %states,
    },
    args => $args,
  );
}

out "== ahead of everything queued, nested, on one heap";
session(
  'B',
  _start => sub { $_[KERNEL]->alias_set('B') },
  ask    => sub {
    out facts(@_);
    my $sum = $_[KERNEL]->call($_[SENDER], add => $_[ARG0]);
    out "B got $sum; ", facts(@_);
    return $sum * 10;
  },
  done => sub { $_[KERNEL]->alias_remove('B') },
);
session(
  'A',
  _start => sub {
    $_[HEAP]{total} = 5;
    $_[KERNEL]->yield('queued');
    $_[KERNEL]->yield('go');
    $_[KERNEL]->yield('queued');
  },
  queued => sub { out facts(@_) },
  go     => sub {
    my $k = $_[KERNEL];
    $k->yield('posted_in_go');
    out facts(@_);
    $_[HEAP]{total} = 6;
    my $result = $k->call(B => ask => 1);
    out "A got $result, total $_[HEAP]{total}; ", facts(@_);
    $k->post(B => 'done');
  },
  add => sub {
    out facts(@_);
    $_[HEAP]{total} += $_[ARG0];
    return $_[HEAP]{total};
  },
  posted_in_go => sub { out facts(@_) },
);
POE::Kernel->run;

out "== calling oneself leaves the outer event in place";
session(
  'A',
  _start => sub { $_[KERNEL]->yield('outer') },
  outer  => sub {
    my ($k, $me) = @_[KERNEL, SESSION];
    out facts(@_);
    out "result: ", $k->call($me, 'inner', 1);
    out facts(@_);
    my $ok = eval { $k->call($me, 'throws'); 1 };
    out "threw at once: ", $ok ? 'no' : $@ =~ s/\n//r;
  },
  inner => sub {
    my ($k, $me, $depth) = @_[KERNEL, SESSION, ARG0];
    out "depth $depth; ", facts(@_);
    $k->yield('posted') if $depth == 2;
    return $depth < 2 ? $k->call($me, 'inner', $depth + 1) + 1 : 1;
  },
  throws => sub { die "inner trouble\n" },
  posted => sub { out facts(@_) },
);
POE::Kernel->run;

out "== an exception in another session does not come back";
session(
  'B',
  _start => sub { $_[KERNEL]->alias_set('B'); $_[KERNEL]->sig(DIE => 'caught') },
  throws => sub { die "callee trouble\n" },
  caught => sub {
    my $info = $_[ARG1];
    out "DIE in ", nm($_[SESSION]), ": event $info->{event}, dest ", nm($info->{dest_session}),
      ", source ", nm($info->{source_session}), ", from state $info->{from_state}, error ",
      $info->{error_str} =~ s/\n//r;
    $_[KERNEL]->sig_handled;
    $_[KERNEL]->alias_remove('B');
  },
);
session(
  'A',
  _start => sub { $_[KERNEL]->yield('go') },
  go     => sub {
    my $k = $_[KERNEL];
    answer 'call', sub { scalar $k->call(B => 'throws') };
    out "A goes on";
  },
);
POE::Kernel->run;

out "== results and errors";
session(
  'B',
  _start => sub { $_[KERNEL]->alias_set('B') },
  seven  => sub { 7 },
  undef  => sub { return },
  done   => sub { $_[KERNEL]->alias_remove('B') },
);
session(
  'A',
  _start => sub { $_[KERNEL]->yield('go') },
  mine   => sub { 8 },
  go     => sub {
    my ($k, $me) = @_[KERNEL, SESSION];
    answer 'call B seven',         sub { scalar $k->call(B => 'seven') };
    answer 'call B undef',         sub { scalar $k->call(B => 'undef') };
    answer '[D6] call B missing',  sub { scalar $k->call(B => 'missing') };
    answer 'call self mine',       sub { scalar $k->call($me => 'mine') };
    answer '[D6] call self missing', sub { scalar $k->call($me => 'missing') };
    answer 'call nobody',          sub { scalar $k->call(nobody => 'seven') };
    answer 'post nobody',          sub { scalar $k->post(nobody => 'seven') };
    answer 'post B missing',       sub { scalar $k->post(B => 'missing') };
    answer 'call kernel',          sub { scalar $k->call($k => 'anything') };
    answer 'post kernel',          sub { scalar $k->post($k => 'anything') };
    $k->post(B => 'done');
  },
);
POE::Kernel->run;

out "== from outside any session";
my $outside = session(
  'A',
  _start => sub { $_[KERNEL]->refcount_increment($_[SESSION]->ID, 'outside') },
  who    => sub { out facts(@_); 9 },
  done   => sub { out facts(@_); $_[KERNEL]->refcount_decrement($_[SESSION]->ID, 'outside') },
);
answer 'call', sub { scalar $poe_kernel->call($outside => 'who') };
answer 'post', sub { scalar $poe_kernel->post($outside => 'done') };
POE::Kernel->run;

out "== a posted question holds its sender, a called one does not";
session(
  'server',
  _start => sub { $_[KERNEL]->alias_set('server') },
  posted => sub {
    out "the asker is there: ", nm($_[SENDER]);
    $_[KERNEL]->post($_[SENDER], reply => 'to the post');
  },
  called => sub {
    $_[HEAP]{asker} = $_[SENDER]->ID;
    $_[KERNEL]->delay(answer => 0.03);
    return 'later';
  },
  answer => sub {
    my ($k, $heap) = @_[KERNEL, HEAP];
    answer 'late answer', sub { scalar $k->post($heap->{asker}, reply => 'to the call') };
    $k->alias_remove('server');
  },
);
session(
  'asks by post',
  _start => sub { $_[KERNEL]->post(server => 'posted') },
  reply  => sub { out "reply $_[ARG0]" },
  _stop  => sub { out "stop of asks by post" },
);
session(
  'asks by call',
  _start => sub { out "answer: ", $_[KERNEL]->call(server => 'called') },
  reply  => sub { out "reply $_[ARG0]" },
  _stop  => sub { out "stop of asks by call" },
);
POE::Kernel->run;
