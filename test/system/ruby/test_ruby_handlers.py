"""Ruby functions of each kind: what they are given, and what becomes of what they answer."""
import base64
import hashlib
import subprocess

import pytest

from lib.process import wait_until
from lib.streams import BLOCK, echo

LAMBDA = {"api/l.rb": """
    require "json"
    def handler(event:, context:)
      case event["rawQueryString"]
      when "plain" then "text"
      when "binary" then {"statusCode" => 200, "isBase64Encoded" => true, "body" => ["\\x00\\xff\\x80".b].pack("m0"),
                          "headers" => {"Content-Type" => "image/x"}}
      when "symbols" then {statusCode: 418, headers: {"X-One" => "1"}, cookies: ["a=1", "b=2"], body: "tea"}
      when "context" then {"id" => context.aws_request_id, "name" => context.function_name,
                           "left" => context.get_remaining_time_in_millis, "memory" => context.memory_limit_in_mb}
      when "bad" then {"statusCode" => 200, "body" => Float::NAN}
      else event
      end
    end
"""}


@pytest.mark.core
def test_a_lambda_handler_gets_the_event_of_a_function_url(mayfly):
    daemon = mayfly(LAMBDA)
    event = daemon.request("POST", "/api/l?a=1&a=2&b=%C3%A4+x", body=b"hello",
                           headers={"Content-Type": "text/plain", "Cookie": "x=1; y=2", "X-Y": "z"}).json()
    assert event["version"] == "2.0" and event["rawPath"] == "/api/l"
    assert event["queryStringParameters"] == {"a": "1,2", "b": "ä x"}
    assert event["cookies"] == ["x=1", "y=2"] and event["headers"]["x-y"] == "z"
    assert event["body"] == "hello" and event["isBase64Encoded"] is False
    assert event["requestContext"]["http"]["method"] == "POST"
    raw = daemon.request("POST", "/api/l", body=b"\x00\xff", headers={"Content-Type": "image/png"}).json()
    assert raw["isBase64Encoded"] is True and base64.b64decode(raw["body"]) == b"\x00\xff"


@pytest.mark.core
def test_what_a_lambda_handler_returns(mayfly):
    daemon = mayfly(LAMBDA)
    plain = daemon.get("/api/l?plain")
    assert plain.json() == "text" and plain.headers["content-type"] == "application/json"
    binary = daemon.get("/api/l?binary")
    assert binary.body == b"\x00\xff\x80" and binary.headers["content-type"] == "image/x"
    raw = daemon.raw(b"GET /api/l?symbols HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 418 ") and raw.endswith(b"tea")
    assert b"X-One: 1\r\n" in raw and b"Set-Cookie: a=1\r\n" in raw and b"Set-Cookie: b=2\r\n" in raw
    context = daemon.get("/api/l?context").json()
    assert context["name"] == "api/l" and context["id"] and 0 < context["left"] and context["memory"] > 0
    bad = daemon.get("/api/l?bad")
    assert bad.status == 500


def test_methods_of_classes_are_found_as_lambda_writes_them(mayfly):
    daemon = mayfly({"lib/m.rb": """
        module Outer
          class Inner
            def self.process(event:, context:) = "from #{name}"
          end
        end
    """, "mayfly.json": {"functions": {"m": {"handler": "lib/m.Outer::Inner.process", "routes": ["/m"]}}}})
    assert daemon.get("/m").json() == "from Outer::Inner"


@pytest.mark.core
def test_vercel_procs_and_servlets(mayfly):
    daemon = mayfly({"api/p.rb": """
        Handler = Proc.new do |req, res|
          res.status = 201
          res["Content-Type"] = "text/x"
          res["X-Header"] = req["x-in"]
          res.body = [req.request_method, req.path, req.query["a"], req.query_string, req.body, req.cookies.map(&:name).join].join("|")
        end
    """, "api/s.rb": """
        begin
          require "webrick"
        rescue LoadError
          module WEBrick; module HTTPServlet; class AbstractServlet
            def self.get_instance(server, *o) = new(server, *o)
            def initialize(server, *o); end
            def service(req, res) = send("do_" + req.request_method, req, res)
          end; end; end
        end
        class Handler < WEBrick::HTTPServlet::AbstractServlet
          def do_GET(request, response)
            response.status = 203
            response.body = "got " + request.path
          end
        end
    """})
    answer = daemon.request("POST", "/api/p?a=%20b", body=b"data", headers={"X-In": "in", "Cookie": "k=v"})
    assert answer.status == 201 and answer.text == "POST|/api/p| b|a=%20b|data|k"
    assert answer.headers["x-header"] == "in" and answer.headers["content-type"] == "text/x"
    answer = daemon.get("/api/s")
    assert (answer.status, answer.text) == (203, "got /api/s")


RACK = {"config.ru": """
    class Upper
      def initialize(app, suffix) = (@app, @suffix = app, suffix)
      def call(env)
        status, headers, body = @app.call(env)
        [status, headers.merge("X-Seen" => @suffix), body]
      end
    end
    use Upper, "yes"
    map "/inner" do
      run ->(env) { [200, {"content-type" => "text/plain"}, [env["SCRIPT_NAME"], "|", env["PATH_INFO"]]] }
    end
    run lambda { |env|
      input = env["rack.input"]
      case env["PATH_INFO"]
      when "/echo" then [200, {"content-type" => "x/y"}, Enumerator.new { |y| while (c = input.read(50_000)); y << c; end }]
      when "/twice" then a = input.read; input.rewind; [200, {}, [a, input.read]]
      when "/lines" then [200, {}, [input.gets.inspect, input.each.to_a.inspect]] rescue [500, {}, [$!.message]]
      when "/stream" then [200, {}, ->(stream) { 3.times { |i| stream.write("part#{i};") }; stream.close }]
      when "/cookies" then [200, {"set-cookie" => "a=1\\nb=2", "x-list" => "1"}, []]
      when "/cookies3" then [200, {"set-cookie" => ["a=1", "b=2"]}, []]
      when "/late" then [200, {}, Enumerator.new { |y| y << "begun"; raise "late" }]
      else [200, {}, [env.select { |k, v| v.is_a?(String) }.map { |k, v| "#{k}=#{v}\\n" }.join]]
      end
    }
""", "mayfly.json": {"functions": {"web": {"handler": "config.ru", "routes": ["/*"], "timeout": 60}}}}


@pytest.mark.core
def test_rack_applications(mayfly):
    daemon = mayfly(RACK)
    env = dict(line.split("=", 1) for line in daemon.get(
        "/some/%20path?q=1", headers={"X-Thing": "a", "X_Thing": "forged"}).text.splitlines())
    assert env["REQUEST_METHOD"] == "GET" and env["PATH_INFO"] == "/some/%20path" and env["QUERY_STRING"] == "q=1"
    assert env["HTTP_X_THING"] == "a" and env["rack.url_scheme"] == "http" and env["SCRIPT_NAME"] == ""
    assert daemon.get("/inner/x").text == "/inner|/x" and daemon.get("/inner/x").headers["x-seen"] == "yes"
    assert daemon.request("POST", "/twice", body=b"abc").text == "abcabc"
    assert daemon.get("/stream").text == "part0;part1;part2;"
    for path in ("/cookies", "/cookies3"):
        raw = daemon.raw(b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path.encode())
        assert b"set-cookie: a=1\r\n" in raw and b"set-cookie: b=2\r\n" in raw
    try:
        raw = daemon.raw(b"GET /late HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert not raw.endswith(b"0\r\n\r\n"), "an answer that broke off looked complete"
    except ConnectionResetError:
        pass  # so it is told to a client


def test_a_large_body_streams_through_rack_in_little_memory(mayfly):
    daemon = mayfly(RACK)
    size = 100 << 20
    digest, received = echo(daemon, "/echo", size)
    assert received == size
    assert digest == hashlib.sha256(BLOCK * (size // len(BLOCK))).hexdigest()
    record = wait_until(lambda: daemon.records, "the record")[-1]
    assert record["memory_peak_bytes"] < 90 << 20  # what Ruby lets grow before it collects


def test_sinatra(mayfly):
    if subprocess.run(["ruby", "-e", "require 'sinatra/base'"], capture_output=True).returncode != 0:
        pytest.skip("no Sinatra: apt install ruby-sinatra")
    daemon = mayfly({"config.ru": """
        require "sinatra/base"
        class App < Sinatra::Base
          get("/hi/:name") { "hi #{params[:name]}" }
          post("/form") { params[:a] }
        end
        run App
    """, "mayfly.json": {"functions": {"web": {"handler": "config.ru", "routes": ["/*"]}}}})
    assert daemon.get("/hi/you").text == "hi you"
    assert daemon.request("POST", "/form", body=b"a=1+2",
                          headers={"Content-Type": "application/x-www-form-urlencoded"}).text == "1 2"
    assert daemon.get("/none").status == 404
