"""What goes to and from a running pod: commands, logs and ports."""

from kubernetes import watch
from kubernetes.stream import portforward, stream
from kubernetes.stream.ws_client import ERROR_CHANNEL

from common import NAMESPACE, PATIENCE, ClusterTest, pod

SHELL = "echo one; echo two; mkdir /w; echo served > /w/index.html; exec httpd -f -p 8080 -h /w"


class Streams(ClusterTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.core.create_namespaced_pod(NAMESPACE, pod("shell", SHELL, listens_on=8080))
        cls().ready("shell")

    def execute(self, *command, **options):
        wanted = {"stderr": True, "stdin": False, "stdout": True, "tty": False, **options}
        return stream(self.core.connect_get_namespaced_pod_exec, "shell", NAMESPACE, command=list(command), **wanted)

    def test_a_command_says_what_it_said(self):
        self.assertEqual(self.execute("sh", "-c", "echo out; echo err >&2"), "out\nerr\n")

    def test_a_command_reads_what_is_written_and_ends_with_its_code(self):
        script = 'read line; echo "got $line"; echo err >&2; exit 7'
        session = self.execute("sh", "-c", script, stdin=True, _preload_content=False)
        session.write_stdin("this\n")
        session.run_forever(timeout=PATIENCE)
        self.assertFalse(session.is_open())
        self.assertEqual((session.read_stdout(), session.read_stderr(), session.returncode), ("got this\n", "err\n", 7))

    def test_a_command_has_a_terminal(self):
        session = self.execute("sh", "-c", "tty; read line", stdin=True, tty=True, _preload_content=False)
        self.assertIn("/dev/", session.readline_stdout(timeout=PATIENCE))
        session.write_stdin("\n")
        session.run_forever(timeout=PATIENCE)
        self.assertEqual(session.returncode, 0)

    def test_a_command_that_is_none_is_refused(self):
        session = self.execute("no-such-command", _preload_content=False)
        session.run_forever(timeout=PATIENCE)
        self.assertIn("no-such-command", session.read_channel(ERROR_CHANNEL))

    def test_the_log_is_read_and_followed(self):
        self.assertEqual(self.core.read_namespaced_pod_log("shell", NAMESPACE, tail_lines=1), "two\n")
        watching = watch.Watch()
        lines = []
        for line in watching.stream(self.core.read_namespaced_pod_log, name="shell", namespace=NAMESPACE):
            lines.append(line)
            if line == "two":
                watching.stop()
        self.assertEqual(lines, ["one", "two"])

    def test_a_port_is_forwarded(self):
        forward = portforward(self.core.connect_get_namespaced_pod_portforward, "shell", NAMESPACE, ports="8080")
        socket = forward.socket(8080)
        socket.setblocking(True)
        socket.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answer = b""
        while part := socket.recv(1024):
            answer += part
        socket.close()
        self.assertRegex(answer, rb"^HTTP/1\.\d 200 OK(.|\n)*served\n$")
        self.assertIsNone(forward.error(8080))
