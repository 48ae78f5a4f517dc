"""Sends the HTTP requests that curl and wget cannot. Used by record.sh; standard library only.

    ask.py client ADDRESS TARGET...    http.client, all requests on one connection
    ask.py lines ADDRESS LINE...       a raw socket; each request line on a connection of its own
    ask.py pipeline ADDRESS LINE...    a raw socket; all requests in one write, before any response
    ask.py bodies ADDRESS              POSTs with chunked and Content-Length bodies, each followed by a probe
"""

import http.client
import socket
import sys

AGENT = "Mozilla/5.0 (compatible; example-scanner/1.0)"
HOST = "www.example.org"
PROBE = "/sms_config.json"


def client(address, *targets):
    """Requests each target over one keep-alive connection; reopens it where the server closed."""
    connection = http.client.HTTPConnection(address, 80, timeout=5)
    for target in targets:
        connection.request("GET", target, headers={"Host": HOST, "User-Agent": AGENT})
        answer = connection.getresponse()
        print(answer.status, target)
        answer.read()
    connection.close()


def head(line, close):
    """Returns a request head with the given request line."""
    connection = "close" if close else "keep-alive"
    text = f"{line}\r\nHost: {HOST}\r\nUser-Agent: {AGENT}\r\nConnection: {connection}\r\n\r\n"
    return text.encode("latin-1")


def exchange(address, request):
    """Sends the bytes and reads until the server closes."""
    answer = b""
    with socket.create_connection((address, 80), timeout=5) as connection:
        connection.sendall(request)
        try:
            while part := connection.recv(65536):
                answer += part
        except OSError as error:
            print(error)
    return answer


def lines(address, *request_lines):
    """Uses one connection for each request line."""
    for line in request_lines:
        status = exchange(address, head(line, close=True)).split(b"\r\n")[0]
        print(status.decode("latin-1") or "(no response)", "|", line)


def pipeline(address, *request_lines):
    """Sends all requests in one write; only the last one asks the server to close."""
    last = len(request_lines) - 1
    request = b"".join(head(line, close=n == last) for n, line in enumerate(request_lines))
    print(exchange(address, request).count(b"HTTP/1.1 "), "responses to", len(request_lines), "requests")


def bodies(address):
    """A body is not a request, whatever it contains; the request after it is parsed."""
    inner = b"GET /twilio/.secrets HTTP/1.1\r\nHost: www.example.org\r\n\r\n"
    connection = http.client.HTTPConnection(address, 80, timeout=5)
    headers = {"Host": HOST, "User-Agent": AGENT}
    for body, chunked in ((iter([b"x" * 40, inner, b"y"]), True), (inner * 3, False)):
        connection.request("POST", "/contact", body=body, headers=headers, encode_chunked=chunked)
        answer = connection.getresponse()
        answer.read()
        print(answer.status, "POST, chunked" if chunked else "POST, Content-Length")
        connection.request("GET", PROBE, headers=headers)
        answer = connection.getresponse()
        answer.read()
        print(answer.status, PROBE)
    connection.close()


if __name__ == "__main__":
    {"client": client, "lines": lines, "pipeline": pipeline, "bodies": bodies}[sys.argv[1]](*sys.argv[2:])
