# Rack, version 2 and 3: an application is called with env and returns [status, headers, body].

module MayflyHost
  # config.ru: by Rack::Builder where there is one, else by what most of them need of it.
  class RackUp
    def self.load(file)
      begin
        require "rack"
        require "rack/builder"
      rescue ::LoadError
        return new.build(file)
      end
      app = ::Rack::Builder.parse_file(file)
      app.is_a?(Array) ? app.first : app
    end

    def initialize
      @uses = []
      @maps = {}
      @app = nil
    end

    def build(file)
      instance_eval(File.read(file).sub(/^__END__\n.*\z/m, ""), file, 1)
      to_app(file)
    end

    def run(app = nil, &block)
      @app = app || block
    end

    def use(middleware, *args, &block)
      @uses << ->(app) { middleware.new(app, *args, &block) }
    end

    def map(path, &block)
      inner = RackUp.new
      inner.instance_eval(&block)
      @maps[path.chomp("/")] = inner
    end

    def freeze_app; end

    def warmup(&block)
      @warmup = block
    end

    def to_app(file)
      app = @app
      unless @maps.empty?
        maps = @maps.transform_values { |m| m.to_app(file) }.sort_by { |path, _| -path.size }
        app = UrlMap.new(maps, app)
      end
      raise LoadError.new("Runtime.HandlerNotFound", "#{file} does not `run` an application") unless app

      app = @uses.reverse.inject(app) { |inner, make| make.call(inner) }
      @warmup&.call(app)
      app
    end

    UrlMap = Struct.new(:maps, :rest) do
      def call(env)
        path = env["PATH_INFO"]
        maps.each do |prefix, app|
          next unless path == prefix || path.start_with?(prefix + "/")

          return app.call(env.merge("SCRIPT_NAME" => env["SCRIPT_NAME"] + prefix, "PATH_INFO" => path[prefix.size..]))
        end
        rest ? rest.call(env) : [404, { "content-type" => "text/plain" }, ["Not Found: #{path}"]]
      end
    end
  end

  # rack.input: read as it comes. What is read is kept for rewind(), up to a size; beyond it a body can
  # be read once, so that one of any length goes through a worker of any memory.
  class RackInput
    KEEP_BYTES = 1 << 20

    def initialize
      @kept = String.new
      @at = 0 # in @kept, or nil: it is not kept any more
      @pending = String.new
      @ended = false
    end

    def read(length = nil, buffer = nil)
      data = length ? read_some(length) : read_rest
      if buffer
        buffer.replace(data || "")
        data && buffer
      else
        data
      end
    end

    def gets(separator = $/)
      line = String.new
      until line.end_with?(separator)
        chunk = peek or break
        cut = chunk.index(separator)
        line << read_some(cut ? cut + separator.bytesize : chunk.bytesize)
      end
      line.empty? ? nil : line
    end

    def each
      while (line = gets)
        yield line
      end
    end

    def rewind
      raise IOError, "a body of more than #{KEEP_BYTES} bytes can be read once only" if @at.nil?

      @pending = String.new
      @at = 0
    end

    def size = [::Mayfly::Request.length, 0].max
    def close; end
    def binmode = self

    private

    # Bytes that are there without taking them; nil at the end.
    def peek
      return @pending unless @pending.empty?

      if @at && @at < @kept.bytesize
        @pending = @kept.byteslice(@at..)
        return @pending
      end
      return nil if @ended

      chunk = ::Mayfly::Request.read(65_536)
      @ended = true if chunk.nil?
      keep(chunk) if chunk
      @pending = chunk || String.new
      chunk
    end

    def keep(chunk)
      if @at && @kept.bytesize + chunk.bytesize <= KEEP_BYTES
        @kept << chunk
      else
        @at = nil
        @kept = String.new
      end
    end

    def take(length)
      if length >= @pending.bytesize
        data = @pending
        @pending = String.new
      else
        data = @pending.byteslice(0, length)
        @pending = @pending.byteslice(length..)
      end
      @at += data.bytesize if @at
      data
    end

    def read_some(length)
      return String.new if length.zero?

      data = nil
      while (data.nil? || data.bytesize < length) && peek
        part = take(length - (data ? data.bytesize : 0))
        data = data ? data << part : part
      end
      data
    end

    def read_rest
      data = String.new
      while peek
        data << take(@pending.bytesize)
      end
      data
    end
  end

  # What a streaming body (one with `call`) writes to.
  class RackStream
    def initialize(input)
      @input = input
      @closed = false
    end

    def write(data)
      raise IOError, "closed stream" if @closed

      n = ::Mayfly::Request.write(data.to_s)
      ::Mayfly::Request.flush
      n
    end

    def <<(data)
      write(data)
      self
    end

    def read(*args) = @input.read(*args)
    def flush = ::Mayfly::Request.flush
    def close_read; end

    def close
      @closed = true
    end
    alias close_write close

    def closed? = @closed
  end

  class Rack
    BASE = {
      "rack.version" => [1, 6].freeze,
      "rack.url_scheme" => "http",
      "rack.multithread" => false,
      "rack.multiprocess" => true,
      "rack.hijack?" => false
    }.freeze

    NULL = lambda do |env|
      env["rack.input"].read
      [200, { "Content-Type" => "text/plain" }, ["touched"]]
    end

    def initialize(app, start)
      @app = app
      @run_once = !start[:instance]
    end

    def serve = answer(@app)
    def touch = answer(NULL)

    private

    def answer(app)
      env = ::Mayfly::Request.fill(BASE.dup)
      env["rack.input"] = input = RackInput.new
      env["rack.errors"] = $stderr
      env["rack.run_once"] = @run_once
      env["HTTP_VERSION"] = env["SERVER_PROTOCOL"]
      status, headers, body = app.call(env)
      send_answer(status, headers, body, input)
      env["rack.response_finished"]&.reverse_each { |done| done.call(env, status, headers, nil) }
    end

    def send_answer(status, headers, body, input)
      pairs = []
      length = -1
      hijack = nil
      headers.each do |name, value|
        if name == "rack.hijack"
          hijack = value
        elsif !name.start_with?("rack.")
          length = Integer(value.to_s, 10) if name.casecmp?("content-length")
          values = value.is_a?(Array) ? value : value.to_s.split("\n")
          values.each { |one| pairs << [name, one.to_s] }
        end
      end
      ::Mayfly::Request.start(Integer(status), pairs, length)
      return hijack.call(RackStream.new(input)) if hijack

      send_body(body, input)
    ensure
      body.close if body.respond_to?(:close)
    end

    # An array is all there already, so it goes out in one; anything else is sent as it comes.
    def send_body(body, input)
      if body.respond_to?(:to_ary)
        body.to_ary.each { |part| ::Mayfly::Request.write(part) }
      elsif body.respond_to?(:each)
        body.each do |part|
          ::Mayfly::Request.write(part)
          ::Mayfly::Request.flush
        end
      elsif body.respond_to?(:call)
        body.call(RackStream.new(input))
      else
        raise MarshalError, "the body of a Rack answer must have `each` or `call`; this is a #{body.class}"
      end
    end
  end
end
