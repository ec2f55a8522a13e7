#!/usr/bin/perl
# Asks 127.0.0.11 for an address again and again, one question after the other, as libc's resolver does: it
# waits in the kernel, so that what is measured is the server and not an event loop of the client.
#   ask-names.pl NAME MS      prints {perSecond, p50Us, p99Us}
use strict;
use warnings;
use Socket;
use Time::HiRes qw(time);

my ($name, $ms) = @ARGV;
my $nameserver = '127.0.0.11';
my ($port, $type_a, $class_in, $recursion) = (53, 1, 1, 0x0100);
my $patience = pack('l!l!', 5, 0);

socket(my $socket, PF_INET, SOCK_DGRAM, 0) or die "socket: $!";
setsockopt($socket, SOL_SOCKET, SO_RCVTIMEO, $patience) or die "timeout: $!";
connect($socket, sockaddr_in($port, inet_aton($nameserver))) or die "connect: $!";
my $labels = join '', map { pack('C/a', $_) } split /\./, $name;
my $question = pack('n6', 0, $recursion, 1, 0, 0, 0) . $labels . pack('Cnn', 0, $type_a, $class_in);

my ($start, @times) = (time);
my $now = $start;
while ($now - $start < $ms / 1000) {
    my $id = @times & 0xffff;
    substr($question, 0, 2) = pack('n', $id);
    send($socket, $question, 0) // die "send: $!";
    recv($socket, my $answer, 2048, 0) // die "no answer: $!";
    my ($answered, undef, undef, $records) = unpack('n4', $answer);
    die "a wrong answer" if $answered != $id || $records == 0;
    my $then = $now;
    $now = time;
    push @times, ($now - $then) * 1e6;
}
my @sorted = sort { $a <=> $b } @times;
printf qq({"perSecond":%f,"p50Us":%f,"p99Us":%f}\n),
    @times / ($now - $start), $sorted[@sorted / 2], $sorted[@sorted * 0.99];
