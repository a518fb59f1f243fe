# What each filter makes of bytes, and of records.
# Rows: L3-L8, S1, B1-B6, R1-R4, M1-M3, K2, K3, H2-H4, H7, H9 of the I/O layer; the quirks that are mended have a tag.
use strict;
use warnings;
use POE qw(Filter::Line Filter::Stream Filter::Block Filter::RecordBlock Filter::Map Filter::Grep
  Filter::Stackable Filter::HTTPD);

$| = 1;
# POE warns of the junk that Block drops.
$SIG{__WARN__} = sub { };

sub out { print @_, "\n" }

my %short = ("\n" => '\n', "\r" => '\r', "\t" => '\t', "\\" => '\\\\', '"' => '\"', "'" => "\\'");

sub quote {
  my $text = shift;
  $text =~ s/([\n\r\t\\"'])/$short{$1}/g;
  $text =~ s/([^\x20-\x7e])/sprintf '\\x%02x', ord $1/ge;
  qq("$text");
}

sub show {
  my $record = shift;
  return "[" . join(" ", map { show($_) } @$record) . "]" if ref $record eq 'ARRAY';
  return join " ", "request", $record->method, $record->uri, $record->protocol, quote($record->content)
    if ref $record and $record->isa("HTTP::Request");
  return "response " . $record->code if ref $record;
  quote($record);
}

# Reads, one after the other, and what is left of them.
sub reads {
  my ($tag, $filter, @reads) = @_;
  for my $read (@reads) {
    my $records = eval { $filter->get([$read]) };
    if (!$records) { out "$tag", quote($read), " died"; next }
    out "$tag", quote($read), " gives ", @$records ? join ", ", map { show($_) } @$records : "nothing";
  }
  my $pending = eval { $filter->get_pending };
  if ($@) { out "$tag", "pending died"; return }
  out "$tag", "pending ", $pending && @$pending ? quote(join "", @$pending) : "nothing";
}

sub puts {
  my ($filter, @records) = @_;
  out "  put gives ", quote(join "", @{ $filter->put([@records]) });
}

out "== line";
reads("  ", POE::Filter::Line->new, "a\rb\nc\r\nd\n\re", "f\n");
reads("[Q10] ", POE::Filter::Line->new, "a\r", "\nb\r\n");
reads("  ", POE::Filter::Line->new(Literal => "--"), "a-b--c-", "-d", "--");
reads("  ", POE::Filter::Line->new(InputRegexp => "[xy]"), "axbyc");
reads("  ", POE::Filter::Line->new(InputLiteral => undef), "a\r", "\nb\r\nc\nd\r\n");
reads("  ", POE::Filter::Line->new(InputLiteral => undef), "a\n", "b\r\nc");
puts(POE::Filter::Line->new, "a", "", "b\nc");
puts(POE::Filter::Line->new(OutputLiteral => "!"), "a", "b");

out "== stream";
reads("  ", POE::Filter::Stream->new, "abc", "d\0e");
puts(POE::Filter::Stream->new, "a", "", "b");

out "== block";
reads("  ", POE::Filter::Block->new(BlockSize => 4), "12345", "678", "90");
reads("  ", POE::Filter::Block->new, "1\0a2\0b", "c0\x000003\0def", "1");
reads("[Q8] ", POE::Filter::Block->new, "3\0ab");
reads("[B4] ", POE::Filter::Block->new, "!?1\0a");
puts(POE::Filter::Block->new, "a", "", "b" x 12);
puts(POE::Filter::Block->new(BlockSize => 4), "ab", "c");

out "== recordblock, above lines";
my $blocks = POE::Filter::RecordBlock->new(BlockSize => 2);
my $pairs = POE::Filter::Stackable->new(Filters => [ POE::Filter::Line->new(Literal => "!"), $blocks ]);
reads("[Q7] ", $pairs, "a!b", "!c!", "d!e!f");
puts($pairs, [ "a", "b", "c" ], ["d"]);
$blocks->checkput(1);
puts($pairs, [ "a", "b", "c" ]);
puts($pairs, ["d"]);

out "== map";
my $map = POE::Filter::Map->new(Get => sub { uc }, Put => sub { "<$_>" });
my $mapped = POE::Filter::Stackable->new(Filters => [ POE::Filter::Line->new(Literal => "!"), $map ]);
reads("  ", $mapped, "a!b!", "c", "d!");
puts($mapped, "x", "y");
$map->modify(Get => sub { $_ . $_ });
reads("  ", $mapped, "e!");

out "== grep";
my $grep = POE::Filter::Grep->new(Get => sub { /1/ }, Put => sub { /2/ });
my $picked = POE::Filter::Stackable->new(Filters => [ POE::Filter::Line->new(Literal => "!"), $grep ]);
reads("  ", $picked, "a1!b2!c1!", "d2!e1", "!");
puts($picked, "x1", "y2");

out "== stackable";
my $stack = POE::Filter::Stackable->new(Filters => [
  POE::Filter::Line->new(Literal => "!"),
  POE::Filter::Map->new(Get => sub { "(($_))" }, Put => sub { $_ }),
  POE::Filter::Grep->new(Get => sub { /1/ }, Put => sub { 1 }),
  POE::Filter::RecordBlock->new(BlockSize => 2),
]);
reads("[Q7] ", $stack, "one 1!two 2!", "three 3!four 14!");
puts($stack->clone, [ "a", "b" ]);

out "== httpd";
my $ends = "\r\n\r\n";
reads("  ", POE::Filter::HTTPD->new, "GET /a?b=c HTTP/1.1\r\nHost: x$ends");
reads("  ", POE::Filter::HTTPD->new, "\r\n  GET //a/b\n\n");
reads("  ", POE::Filter::HTTPD->new, "GET\t/tab\t HTTP/1.0\n\r\n", "nonsense$ends");
reads("  ", POE::Filter::HTTPD->new, "POST /p HTTP/1.0\r\nContent-Length: 4\r\n\r\nbo", "dyGET / HTTP/1.1$ends");
reads("  ", POE::Filter::HTTPD->new(MaxContent => 3), "POST /p HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody");
reads("  ", POE::Filter::HTTPD->new, "POST /p HTTP/1.1\r\nContent-Length: x$ends");
reads("  ", POE::Filter::HTTPD->new, "POST /p HTTP/1.1\r\nContent-Encoding: x$ends");
reads("[Q14] ", POE::Filter::HTTPD->new, "POST /p HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0$ends");
reads("[Q15] ", POE::Filter::HTTPD->new, "POST /1 HTTP/1.1\r\nContent-Length: 0\r\n\r\nGET /2 HTTP/1.1$ends");
reads("[H4] ", POE::Filter::HTTPD->new, "M-SEARCH * HTTP/1.1$ends");
reads("[H9] ", POE::Filter::HTTPD->new, "POST /p HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc");
reads("[H2] ", POE::Filter::HTTPD->new(Streaming => 1), "POST /p HTTP/1.1\r\nContent-Length: 6\r\n\r\none", "two");

POE::Kernel->run;
