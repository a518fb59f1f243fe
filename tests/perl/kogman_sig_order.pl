# Signals through one to three generations, as complete traces of every handler.
# Laws: L18, L19 (creation), L46 (deepest first), L51 (terminal ones), L32 (children stop
# before their parents, who are told), L62 (_default stands in for a missing handler).
# After the idea of POE::Test::Loops' z_kogman_sig_order.
use strict;
use warnings;
use POE;

$| = 1;
sub out { print @_, "\n" }

# A chain of sessions 1 > 2 > 3. `watch` names the generations that watch the signal, `by`
# the event that they watch it with ('foo' has a handler, any other goes to _default).
sub chain {
  my ($generation, %o) = @_;
  return POE::Session->create(
    inline_states => {
      _start => sub {
        out "$generation: _start";
        my ($k, $me) = @_[KERNEL, SESSION];
        chain($generation + 1, %o) if $generation < $o{generations};
        $k->sig($o{signal} => $o{by}) if grep { $_ == $generation } @{ $o{watch} };
        # The youngest has work to do; where the signal is terminal the others have as well.
        $k->delay(bar => $o{work})
          if $generation > 1 && ($generation == $o{generations} || $o{signal} eq 'TERM');
        $k->signal($me => $o{signal}) if $generation == 1;
        out "$generation: _start ends";
      },
      _child   => sub { out "$generation: _child $_[ARG0]" },
      _stop    => sub { out "$generation: _stop" },
      _default => sub { out "$generation: _default $_[ARG0]" },
      foo      => sub { out "$generation: foo" },
    },
  );
}

my @scenarios = (
  [ 'harmless, one generation',              'foo',  1, [1],       'foo' ],
  [ 'harmless, the child does not watch',    'foo',  2, [1],       'foo' ],
  [ 'harmless, both watch',                  'foo',  2, [ 1, 2 ],  'foo' ],
  [ 'harmless, three generations',           'foo',  3, [ 1 .. 3 ], 'foo' ],
  [ 'terminal, both watch, neither handles', 'TERM', 2, [ 1, 2 ],  'TERM' ],
  [ 'terminal, nobody watches',              'TERM', 2, [],        'TERM' ],
  [ 'terminal, the middle of three watches', 'TERM', 3, [2],       'TERM' ],
  [ 'terminal, three generations, nobody watches', 'TERM', 3, [], 'TERM' ],
  [ 'terminal, three generations, all watch', 'TERM', 3, [ 1 .. 3 ], 'TERM' ],
);

for (@scenarios) {
  my ($title, $signal, $generations, $watch, $by) = @$_;
  out "== $title";
  chain(
    1,
    signal      => $signal,
    generations => $generations,
    watch       => $watch,
    by          => $by,
    work        => $signal eq 'TERM' ? 1 : 0.03,
  );
  POE::Kernel->run;
}
