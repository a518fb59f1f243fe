# Leaving one's parent.
# Laws: L39 (order of events; the tree changes after them; signals to the old parent no
# longer arrive), L25 (in _start), 1.6 (errors).
use strict;
use warnings;
use POE;
use Errno qw(EPERM ESRCH);

$| = 1;
sub out { print @_, "\n" }

my %name;
sub nm {
  my $s = shift;
  return 'undef' unless defined $s;
  return 'kernel' if $s == $poe_kernel;
  return $name{ $s->ID } || '?';
}

sub answer {
  my ($what, $code) = @_;
  $! = 0;
  my $value = $code->();
  my $n = 0 + $!;
  out "$what: ",
    defined $value ? $value : 'undef, error ' . ({ EPERM, 'EPERM', ESRCH, 'ESRCH' }->{$n} || $n);
}

sub session {
  my ($name, %states) = @_;
  my $start = delete $states{_start} || sub { };
  my $child = delete $states{_child} || sub { };
  return POE::Session->create(
    inline_states => {
      _start => sub { $name{ $_[SESSION]->ID } = $name; $start->(@_); "$name started" },
      _child => sub {
        my ($why, $which, $value) = @_[ARG0 .. ARG2];
        out "$name _child $why ", nm($which),
          (@_ > ARG2 ? ' (' . ($value // 'undef') . ')' : ''), ", sender ", nm($_[SENDER]);
        $child->(@_);
      },
      _parent => sub {
        out "$name _parent ", nm($_[ARG0]), " to ", nm($_[ARG1]), ", sender ", nm($_[SENDER]);
      },
      _stop => sub { out "$name _stop"; "$name stopped" },
      %states,
    },
  );
}

out "== detach_myself";
session(
  'parent',
  _start => sub { $_[KERNEL]->yield('go') },
  go     => sub {
    session(
      'child',
      _start => sub { $_[KERNEL]->yield('leave') },
      leave  => sub {
        answer 'detach_myself', sub { scalar $poe_kernel->detach_myself };
        answer 'once more',     sub { scalar $poe_kernel->detach_myself };
        $_[KERNEL]->yield('done');
      },
      done => sub { out "child is done" },
    );
    $_[KERNEL]->yield('done');
  },
  done => sub { out "parent is done" },
);
POE::Kernel->run;

out "== detach_child";
session(
  'parent',
  _start => sub { $_[KERNEL]->yield('go') },
  go     => sub {
    my $child = session(
      'child',
      _start => sub { $_[KERNEL]->delay(done => 0.04) },
      done   => sub { out "child is done" },
    );
    answer 'detach_child', sub { scalar $poe_kernel->detach_child($child) };
    answer 'once more',    sub { scalar $poe_kernel->detach_child($child) };
    $_[KERNEL]->delay(done => 0.02);
  },
  done => sub { out "parent is done" },
);
POE::Kernel->run;

out "== errors";
session(
  'grandparent',
  _start => sub { $_[KERNEL]->yield('go') },
  go     => sub {
    my $grandchild;
    session(
      'parent',
      _start => sub {
        $grandchild = session(
          'grandchild',
          _start => sub { $_[KERNEL]->delay(done => 0.02) },
          done   => sub { },
        );
        $_[KERNEL]->alias_set('parent');
        $_[KERNEL]->delay(done => 0.04);
      },
      done => sub { $_[KERNEL]->alias_remove('parent') },
    );
    my ($k, $me) = @_[KERNEL, SESSION];
    answer 'a grandchild', sub { scalar $k->detach_child($grandchild) };
    answer 'oneself',      sub { scalar $k->detach_child($me) };
    answer 'the kernel',   sub { scalar $k->detach_child($k) };
    answer 'nobody',       sub { scalar $k->detach_child('nobody') };
    answer 'detach_myself of a child of the kernel', sub { scalar $k->detach_myself };
    answer 'by alias',     sub { scalar $k->detach_child('parent') };
  },
);
POE::Kernel->run;

out "== the children of who leaves stay with it";
session(
  'top',
  _start => sub { $_[KERNEL]->yield('go') },
  go     => sub {
    session(
      'middle',
      _start => sub {
        session(
          'low',
          _start => sub { $_[KERNEL]->delay(done => 0.02) },
          done   => sub { out "low is done" },
        );
        $_[KERNEL]->yield('leave');
      },
      leave => sub { $_[KERNEL]->detach_myself },
    );
  },
);
POE::Kernel->run;

out "== while the two handlers run the tree is still the old one";
session(
  'parent',
  _start => sub { $_[KERNEL]->yield('go') },
  go     => sub {
    my $child = session(
      'child',
      _start  => sub { $_[KERNEL]->delay(done => 0.02) },
      done    => sub { },
      ask     => sub { "$_[ARG0]: child answers" },
      _parent => sub {
        out "child _parent ", nm($_[ARG0]), " to ", nm($_[ARG1]);
        out $_[KERNEL]->call($_[ARG0], ask => 'in _parent');
      },
    );
    $_[KERNEL]->detach_child($child);
  },
  ask    => sub { "$_[ARG0]: parent answers" },
  _child => sub {
    out $_[KERNEL]->call($_[ARG1], ask => 'in lose') if $_[ARG0] eq 'lose';
  },
);
POE::Kernel->run;

out "== signals to the old parent no longer arrive";
session(
  'parent',
  _start => sub { $_[KERNEL]->sig(HELLO => 'hello'); $_[KERNEL]->yield('go') },
  go     => sub {
    my ($k, $me) = @_[KERNEL, SESSION];
    my $child = session(
      'child',
      _start => sub { $_[KERNEL]->sig(HELLO => 'hello'); $_[KERNEL]->delay(done => 0.02) },
      hello  => sub { out "child hears $_[ARG1]" },
      done   => sub { },
    );
    $k->signal($me => 'HELLO', 'one');
    $k->yield(leave => $child->ID);
  },
  leave => sub {
    my ($k, $me) = @_[KERNEL, SESSION];
    $k->detach_child($_[ARG0]);
    $k->signal($me => 'HELLO', 'two');
  },
  hello => sub { out "parent hears $_[ARG1]" },
);
POE::Kernel->run;
