# Vercel's contract: Handler = Proc.new { |request, response| ... }, or a class derived from
# WEBrick::HTTPServlet::AbstractServlet. The two objects have what WEBrick's have; WEBrick itself is not
# needed for them.

require "stringio"
require "uri"

module MayflyHost
  class VercelCookie
    attr_accessor :name, :value, :path, :domain, :max_age, :expires, :secure, :version, :comment

    def initialize(name, value)
      @name = name
      @value = value
    end
  end

  class VercelRequest
    def initialize(request)
      @request = request
    end

    def request_method = @request.http_method
    def path = URI.decode_www_form_component(@request.path.gsub("+", "%2B"))
    def path_info = path
    def script_name = ""
    def unparsed_uri = @request.target
    def query_string = @request.query.empty? ? nil : @request.query
    def request_line = "#{request_method} #{unparsed_uri} HTTP/1.1\r\n"
    def request_uri = URI.parse("http://#{@request.host.empty? ? "localhost" : @request.host}#{unparsed_uri}")
    def host = request_uri.host
    def port = request_uri.port
    def http_version = "1.1"
    def content_type = self["content-type"]
    def content_length = self["content-length"].to_i
    def remote_ip = self["mayfly-client-ip"]
    def peeraddr = ["AF_INET", 0, remote_ip, remote_ip]
    def keep_alive? = false
    def ssl? = false

    # {lower-case name: [values]}
    def header
      @header ||= @request.headers.each_with_object({}) { |(name, value), map| (map[name.downcase] ||= []) << value }
    end

    def [](name)
      header[name.downcase]&.join(", ")
    end

    def each
      header.each { |name, values| yield name, values.join(", ") }
    end

    def body
      return @body if defined?(@body)

      data = String.new
      while (chunk = @request.read(65_536))
        yield chunk if block_given?
        data << chunk
      end
      @body = data.empty? ? nil : data
    end

    def body_reader = StringIO.new(body || "")

    def cookies
      (self["cookie"] || "").split(/;\s*/).filter_map do |pair|
        name, value = pair.split("=", 2)
        VercelCookie.new(name, value) if name && value
      end
    end

    # The parameters of the query, or of a form that is posted.
    def query
      @query ||= begin
        form = content_type.to_s.start_with?("application/x-www-form-urlencoded")
        URI.decode_www_form(%w[GET HEAD].include?(request_method) || !form ? @request.query : body.to_s).to_h
      end
    end

    def meta_vars = @request.fill({})
    def to_s = request_line
  end

  class VercelResponse
    attr_accessor :status, :body, :reason_phrase, :chunked, :keep_alive, :request_method, :request_uri, :filename
    attr_reader :cookies, :header

    def initialize
      @status = 200
      @body = +""
      @header = {}
      @cookies = []
    end

    def [](name) = @header[name.downcase]

    def []=(name, value)
      @header[name.downcase] = value
    end

    def content_type = self["content-type"]

    def content_type=(type)
      self["content-type"] = type
    end

    def content_length = self["content-length"]&.to_i

    def content_length=(length)
      self["content-length"] = length.to_s
    end

    def each(&block) = @header.each(&block)
    def chunked? = @chunked
    def keep_alive? = false
    def status_line = "HTTP/1.1 #{@status}\r\n"

    # As in WEBrick; what comes behind it in the handler is not run.
    def set_redirect(status, url)
      @status = status.respond_to?(:code) ? status.code : status
      self["location"] = url.to_s
      @body = "<HTML><A HREF=\"#{url}\">#{url}</A>.</HTML>\n"
      throw :mayfly_redirect
    end
  end

  class Vercel
    def initialize(handler, _start)
      @handler = handler
    end

    def serve = answer(@handler)
    def touch = answer(->(req, res) { res.body = req.path + req.query.to_s + req["host"].to_s })

    private

    def answer(handler)
      response = VercelResponse.new
      request = VercelRequest.new(::Mayfly::Request)
      catch(:mayfly_redirect) { handler.call(request, response) }
      send_answer(response)
    rescue Exception => e
      # WEBrick::HTTPStatus: raised to answer with it.
      raise unless defined?(::WEBrick::HTTPStatus::Status) && e.is_a?(::WEBrick::HTTPStatus::Status)

      response.status = e.code
      response["content-type"] ||= "text/plain"
      response.body = e.message + "\n" if response.body.to_s.empty?
      send_answer(response)
    end

    def send_answer(response)
      pairs = response.header.flat_map { |name, value| Array(value).map { |one| [name, one.to_s] } }
      pairs.concat(response.cookies.map { |cookie| ["Set-Cookie", cookie.to_s] })
      body = response.body
      if body.respond_to?(:read) || body.is_a?(Proc)
        ::Mayfly::Request.start(Integer(response.status), pairs, -1)
        stream(body)
      else
        data = body.to_s
        ::Mayfly::Request.start(Integer(response.status), pairs, data.bytesize)
        ::Mayfly::Request.write(data)
      end
    end

    def stream(body)
      if body.is_a?(Proc)
        body.call(Out.new)
      else
        while (chunk = body.read(65_536))
          ::Mayfly::Request.write(chunk)
          ::Mayfly::Request.flush
        end
      end
    ensure
      body.close if body.respond_to?(:close)
    end

    # The socket that WEBrick gives to a Proc as body.
    class Out
      def write(*parts)
        parts.sum { |part| ::Mayfly::Request.write(part.to_s) }.tap { ::Mayfly::Request.flush }
      end

      def <<(part)
        write(part)
        self
      end

      def flush = ::Mayfly::Request.flush
    end
  end
end
