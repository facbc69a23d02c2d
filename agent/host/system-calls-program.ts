/** The process that makes system calls, for `perl -e` (perl-base has all it uses); system-calls.ts speaks with it. */
import { arch } from 'node:process'
import { GantryError } from '../../proto/base/errors.ts'

/** Of the kernel's include/uapi/asm-generic/unistd.h. */
const GENERIC = [40, 39, 97, 268]
/** By the names of Node.js; others are those of each architecture's syscall.tbl. */
const NUMBERS: Readonly<Record<string, readonly number[]>> = {
  x64: [165, 166, 272, 308],
  arm64: GENERIC,
  riscv64: GENERIC,
  ppc64: [21, 52, 282, 350],
  s390x: [21, 52, 303, 339],
}

/** mount, umount2, unshare, setns. */
export function systemCallNumbers(): readonly number[] {
  const numbers = NUMBERS[arch]
  if (numbers === undefined)
    throw new GantryError('FailedPrecondition', `the numbers of system calls on ${arch} are not known`)
  return numbers
}

export const PERL_PROGRAM = String.raw`
use strict;
my ($mount, $umount, $unshare, $setns) = map { $_ + 0 } @ARGV;
# Opened again, it keeps its number ($^F, which is meant for an exec, says so).
$^F = 3;
open(my $held, '<', '/dev/null');
die "no descriptor 3" unless fileno($held) == 3;
my %home = map { open(my $file, '<', "/proc/self/ns/$_") or die $!; ($_ => $file) } qw(ipc uts net);
my %away;
chdir '/';

sub take {
  my ($length) = @_;
  my $bytes = '';
  while (length($bytes) < $length) {
    exit 0 unless sysread(STDIN, $bytes, $length - length($bytes), length($bytes));
  }
  return $bytes;
}

# Gives messages to the kernel and gathers what it says: the first error, and what is no acknowledgement.
sub netlink {
  my ($protocol, $messages, $bytes, $device, $at) = @_;
  if ($device ne '') { # SIOCGIFINDEX of netdevice(7)
    socket(my $any, 2, 2, 0) or return ($! + 0, '');
    my $request = pack('a16x24', $device);
    ioctl($any, 0x8933, $request) or return ($! + 0, '');
    substr($bytes, $at, 4) = substr($request, 16, 4);
  }
  socket(my $socket, 16, 3, $protocol) or return ($! + 0, '');
  # Room for the whole message: SO_SNDBUFFORCE of socket(7), as what is longer than the buffer is refused.
  setsockopt($socket, 1, 32, pack('l', length($bytes) + 4096)) or return ($! + 0, '') if length($bytes) > 65536;
  send($socket, $bytes, 0) or return ($! + 0, '');
  my ($error, $data) = (0, '');
  # All answers are there when send returns. MSG_DONTWAIT: where fewer come than were asked for, nobody waits for more.
  while ($messages > 0) {
    defined(recv($socket, my $answer, 1 << 17, 0x40)) or return ($error || $! + 0, $data);
    while (length($answer) >= 16) {
      my ($length, $type) = unpack('LS', $answer);
      my $message = substr($answer, 0, $length);
      $answer = substr($answer, ($length + 3) & ~3 > length($answer) ? length($answer) : ($length + 3) & ~3);
      if ($type == 2) {
        $messages--;
        $error ||= -unpack('l', substr($message, 16, 4));
      } else { $data .= $message }
    }
  }
  return ($error, $data);
}

my %calls = (
  mount => sub { my ($source, $target, $type, $flags, $options) = @_;
    syscall($mount, $source, $target, $type, $flags + 0, $options) },
  umount => sub { my ($target, $flags) = @_; syscall($umount, $target, $flags + 0) },
  chdir => sub { chdir($_[0]) ? 0 : -1 },
  unshare => sub { @away{keys %home} = (); syscall($unshare, $_[0] + 0) },
  setns => sub { $away{net} = undef; open(my $file, '<', $_[0]) or return -1; syscall($setns, fileno($file), 0) },
  hold => sub { open($held, '<', $_[0]) ? 0 : -1 },
  write => sub {
    my $file;
    if (!open($file, '>', $_[0])) { return $! == 2 ? 0 : -1 }
    defined(syswrite($file, $_[1])) ? 0 : -1 },
);

for (;;) {
  my ($until_failure, @requests) = unpack('(N/a*)*', take(unpack('N', take(4))));
  my @answers;
  for my $request (@requests) {
    my ($name, @arguments) = unpack('(N/a*)*', $request);
    my ($error, $data) = (0, '');
    if ($name eq 'netlink') { ($error, $data) = netlink(@arguments) }
    else { $error = $! + 0 if $calls{$name}->(@arguments) == -1 }
    push @answers, $error, $data;
    last if $until_failure && $error;
  }
  for (keys %away) { exit 1 if syscall($setns, fileno($home{$_}), 0) }
  %away = ();
  open($held, '<', '/dev/null');
  chdir '/';
  my $answer = pack('(N/a*)*', @answers);
  $answer = pack('N/a*', $answer);
  for (my $at = 0; $at < length($answer);) { $at += syswrite(STDOUT, $answer, length($answer) - $at, $at) // exit 1 }
}
`
