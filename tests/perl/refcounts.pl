# Extra references.
# Laws: 1.8 (results, errors), L26 (a tag with a count of 1 or more holds), L28 (nothing is
# collected before the sweep, a revival until then counts), L33, D5 (below zero).
# A line that begins with [D5] shows where the Rust crate gives an error instead, one that
# begins with [type] what a typed language cannot express.
use strict;
use warnings;
use POE;
use Errno qw(ESRCH);

$| = 1;
sub out { print @_, "\n" }

sub answer {
  my ($what, $code) = @_;
  $! = 0;
  my $value = $code->();
  my $n = 0 + $!;
  out "$what: ", defined $value ? $value : 'undef, error ' . ($n == ESRCH ? 'ESRCH' : $n);
}

sub session {
  my ($name, %states) = @_;
  return POE::Session->create(
    inline_states => { _start => sub { }, _stop => sub { out "$name _stop" }, %states },
  );
}

out "== counts of tags";
session(
  'S',
  _start => sub {
    my ($k, $id) = ($_[KERNEL], $_[SESSION]->ID);
    answer 'one up',       sub { $k->refcount_increment($id, 'one') };
    answer 'one up',       sub { $k->refcount_increment($id, 'one') };
    answer 'two up',       sub { $k->refcount_increment($id, 'two') };
    answer 'one down',     sub { $k->refcount_decrement($id, 'one') };
    answer 'one down',     sub { $k->refcount_decrement($id, 'one') };
    answer 'one up again', sub { $k->refcount_increment($id, 'one') };
    answer 'one down',     sub { $k->refcount_decrement($id, 'one') };
    answer 'two down',     sub { $k->refcount_decrement($id, 'two') };
    answer 'unknown session up',   sub { scalar $k->refcount_increment(1_000_000, 'x') };
    answer 'unknown session down', sub { scalar $k->refcount_decrement(1_000_000, 'x') };
    $k->alias_set('alias');
    answer '[type] an alias is no ID', sub { scalar $k->refcount_increment('alias', 'x') };
    $k->alias_remove('alias');
  },
);
POE::Kernel->run;

out "== a tag holds, any session may let go";
{
  my $held = session(
    'held',
    _start => sub { $_[KERNEL]->refcount_increment($_[SESSION]->ID, 'hold') },
    hello  => sub { out "held got hello" },
  )->ID;
  session(
    'other',
    _start => sub { $_[KERNEL]->delay(go => 0.02) },
    go     => sub {
      $_[KERNEL]->post($held => 'hello');
      $_[KERNEL]->delay(release => 0.02);
    },
    release => sub {
      my $k = $_[KERNEL];
      answer 'up from outside',   sub { $k->refcount_increment($held, 'hold') };
      answer 'down from outside', sub { $k->refcount_decrement($held, 'hold') };
      answer 'down from outside', sub { $k->refcount_decrement($held, 'hold') };
      $k->delay(look => 0.02);
    },
    look => sub {
      my $k = $_[KERNEL];
      answer 'afterwards', sub { scalar $k->refcount_increment($held, 'hold') };
    },
  );
}
POE::Kernel->run;

out "== up and down in _start does not end it";
session(
  'S',
  _start => sub {
    my ($k, $id) = ($_[KERNEL], $_[SESSION]->ID);
    $k->refcount_increment($id, 'x');
    $k->refcount_decrement($id, 'x');
    $k->yield('event');
  },
  event => sub { out "S runs" },
);
POE::Kernel->run;

out "== revived before the sweep";
{
  my $weak = session(
    'weak',
    _start => sub { $_[KERNEL]->yield('last') },
    last   => sub { out "weak's last event" },
    more   => sub {
      out "one more";
      $_[KERNEL]->refcount_decrement($_[SESSION]->ID, 'revived');
    },
  )->ID;
  session(
    'helper',
    _start => sub { $_[KERNEL]->yield('go') },
    go     => sub { out "revived: ", $_[KERNEL]->refcount_increment($weak, 'revived') },
    _stop  => sub {
      out "helper _stop";
      $_[KERNEL]->post($weak => 'more');    # lost: its sender goes
    },
  );
  session(
    'poster',
    _start => sub { $_[KERNEL]->delay(go => 0.02) },
    go     => sub { $_[KERNEL]->post($weak => 'more') },
  );
}
POE::Kernel->run;

# What a session holds for another one is let go of in its _stop: that must be seen before
# anybody asks whether all are idle.
out "== released in a _stop, before IDLE";
{
  my $bystander = session(
    'bystander',
    _start => sub { $_[KERNEL]->refcount_increment($_[SESSION]->ID, 'hold') },
  )->ID;
  session(
    'idler',
    _start => sub { $_[KERNEL]->alias_set('idler'); $_[KERNEL]->sig(IDLE => 'idle') },
    idle   => sub { out "IDLE" },
  );
  session(
    'holder',
    _start => sub { $_[KERNEL]->yield('event') },
    event  => sub { out "holder runs" },
    _stop  => sub {
      out "holder _stop";
      out "down to ", $_[KERNEL]->refcount_decrement($bystander, 'hold');
    },
  );
}
POE::Kernel->run;

out "== below zero";
session(
  'S',
  _start => sub {
    my ($k, $id) = ($_[KERNEL], $_[SESSION]->ID);
    answer '[D5] down from nothing', sub { scalar $k->refcount_decrement($id, 'x') };
    answer '[D5] up',                sub { scalar $k->refcount_increment($id, 'x') };
    answer '[D5] up',                sub { scalar $k->refcount_increment($id, 'x') };
    answer '[D5] down',              sub { scalar $k->refcount_decrement($id, 'x') };
  },
);
POE::Kernel->run;
