# A Rack application. See README.md for what it does.
require "digest"
require "json"
require "securerandom"
require "socket"
require "uri"

TEXT = "text/plain; charset=utf-8"
$asked = 0

def deep_down = raise(TypeError, "broken on purpose")
def sleeper = sleep(100)

def joined(pairs) = pairs.each_with_object({}) { |(name, value), seen| seen[name] = [seen[name], value].compact.join(",") }

def echo(env, query)
  headers = env.filter_map do |name, value|
    next [name.downcase.tr("_", "-"), value] if %w[CONTENT_TYPE CONTENT_LENGTH].include?(name)
    [name[5..].downcase.tr("_", "-"), value] if name.start_with?("HTTP_") && name != "HTTP_VERSION"
  end
  JSON.generate(method: env["REQUEST_METHOD"], path: URI.decode_www_form_component(env["PATH_INFO"].gsub("+", "%2B")),
                query: joined(query), headers: headers.to_h, body: [env["rack.input"].read.to_s].pack("m0"))
end

class Stream
  def initialize(port) = @port = port

  def each
    yield "one\n"
    TCPSocket.open("127.0.0.1", @port) { |link| link.read(1) }
    yield "two\n"
  end
end

class Download
  def initialize(mb) = @mb = mb
  def each = (@mb * 16).times { yield "d" * 65536 }
end

def upload(input)
  sha, total = Digest::SHA256.new, 0
  while (piece = input.read(65536))
    sha << piece
    total += piece.bytesize
  end
  "#{total} #{sha.hexdigest}"
end

def log
  puts "to stdout: grüße"
  $stderr.puts "to stderr: grüße"
  "logged"
end

run(lambda do |env|
  $asked += 1
  query = URI.decode_www_form(env["QUERY_STRING"])
  asked = query.to_h
  text = ->(body, status = 200) { [status, { "content-type" => TEXT }, [body]] }
  case env["PATH_INFO"].split("/").last
  when "echo" then [200, { "content-type" => "application/json" }, [echo(env, query)]]
  when "status" then [204, 304].include?(asked["code"].to_i) ? [asked["code"].to_i, {}, []] : text.("status", (asked["code"] || 200).to_i)
  when "headers" then [200, { "X-Mixed-Case" => "MiXed", "set-cookie" => "a=1; Path=/\nb=2", "content-type" => TEXT }, ["ok"]]
  when "binary" then [200, { "content-type" => "application/octet-stream" }, [(0..255).to_a.pack("C*")]]
  when "unicode" then text.(env["rack.input"].read)
  when "stream" then [200, { "content-type" => TEXT }, Stream.new(asked["port"].to_i)]
  when "upload" then text.(upload(env["rack.input"]))
  when "download" then [200, { "content-type" => TEXT }, Download.new(asked["mb"].to_i)]
  when "error" then deep_down
  when "sleep" then text.(sleeper.to_s)
  when "log" then text.(log)
  when "env" then text.(ENV["GREETING"].dup.force_encoding("UTF-8"))
  when "count" then text.($asked.to_s)
  when "random" then text.([rand, Random.rand, SecureRandom.uuid, Random.urandom(8).unpack1("H*")].join("\n"))
  end
end)
