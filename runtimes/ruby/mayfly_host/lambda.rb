# AWS Lambda's contract: handler(event:, context:) with the event of a Function URL, payload format
# 2.0, and its rules for what a handler returns.

require "json"
require "time"

module MayflyHost
  class LambdaContext
    attr_reader :aws_request_id, :deadline_ms, :identity, :client_context

    class << self
      attr_accessor :start, :arn
    end

    def initialize(request_id, deadline_ms)
      @aws_request_id = request_id
      @deadline_ms = deadline_ms
    end

    def function_name = self.class.start[:function]
    def function_version = self.class.start[:version]
    def memory_limit_in_mb = self.class.start[:memory_bytes] >> 20
    def invoked_function_arn = self.class.arn
    def log_group_name = "/aws/lambda/#{function_name}"

    def log_stream_name
      Time.now.utc.strftime("%Y/%m/%d/[#{function_version}]") + aws_request_id.delete("-")
    end

    def get_remaining_time_in_millis
      [deadline_ms - (Time.now.to_f * 1000).to_i, 0].max
    end
  end

  class Lambda
    JSON_TYPE = [["Content-Type", "application/json"]].freeze

    def initialize(handler, start)
      @handler = handler
      kinds = handler.parameters
      @keywords = kinds.any? { |kind, _| %i[keyreq key keyrest].include?(kind) }
      @arity = kinds.count { |kind, _| %i[req opt].include?(kind) }
      @timeout_ms = start[:timeout_ms]
      LambdaContext.start = start
      LambdaContext.arn = "arn:aws:lambda:#{ENV.fetch("AWS_REGION", "us-east-1")}:000000000000:function:#{start[:function]}"
    end

    def serve
      answer(call(event, context))
    end

    def touch
      event = event_of_http("")
      context
      answer({ "statusCode" => 200, "headers" => { "X" => "y" }, "body" => JSON.generate(event) })
    end

    private

    def request = ::Mayfly::Request

    def call(event, context)
      return @handler.call(event: event, context: context) if @keywords

      @handler.call(*[event, context].first(@arity))
    end

    def context
      deadline = request.get("Mayfly-Deadline-Ms")&.to_i || ((Time.now.to_f * 1000).to_i + @timeout_ms)
      LambdaContext.new(request.get("Mayfly-Request-Id") || "", deadline)
    end

    def body
      data = String.new
      while (chunk = request.read(65_536))
        data << chunk
      end
      data
    end

    # The event of a trigger other than http is the body. An empty one is {}, as Lambda has it.
    def event
      data = body
      return event_of_http(data) if [nil, "http"].include?(request.get("Mayfly-Trigger"))
      return {} if data.empty?

      begin
        JSON.parse(data.force_encoding(Encoding::UTF_8))
      rescue JSON::ParserError => e
        raise UnmarshalError, "Unable to unmarshal input: #{e.message}"
      end
    end

    def headers
      cookies = []
      map = {}
      request.headers.each do |name, value|
        name = name.downcase
        next if name.start_with?("mayfly-") || name == "transfer-encoding"

        if name == "cookie"
          cookies.concat(value.split(";").map(&:strip).reject(&:empty?))
        else
          map[name] = map.key?(name) ? "#{map[name]},#{value}" : value
        end
      end
      [map, cookies]
    end

    def query
      request.query.split("&").each_with_object({}) do |pair, map|
        name, value = pair.split("=", 2).map { |part| decode(part) }
        next if name.nil?

        value ||= ""
        map[name] = map.key?(name) ? "#{map[name]},#{value}" : value
      end
    end

    def decode(part)
      part.b.tr("+", " ").gsub(/%\h\h/) { |hex| hex[1, 2].hex.chr }.force_encoding(Encoding::UTF_8).scrub
    end

    def decoded_path(path)
      path.b.gsub(/%\h\h/) { |hex| hex[1, 2].hex.chr }.force_encoding(Encoding::UTF_8).scrub
    end

    def event_of_http(data)
      map, cookies = headers
      now = Time.now
      path = decoded_path(request.path)
      event = {
        "version" => "2.0", "routeKey" => "$default", "rawPath" => path,
        "rawQueryString" => request.query, "headers" => map,
        "requestContext" => {
          "accountId" => "anonymous", "apiId" => "mayfly", "authentication" => nil, "authorizer" => nil,
          "domainName" => request.host, "domainPrefix" => request.host[/\A[^.:]*/],
          "http" => { "method" => request.http_method, "path" => path, "protocol" => "HTTP/1.1",
                      "sourceIp" => request.get("Mayfly-Client-Ip") || "", "userAgent" => map["user-agent"] || "" },
          "requestId" => request.get("Mayfly-Request-Id") || "", "routeKey" => "$default", "stage" => "$default",
          "time" => now.utc.strftime("%d/%b/%Y:%H:%M:%S +0000"), "timeEpoch" => (now.to_f * 1000).to_i
        },
        "pathParameters" => nil, "isBase64Encoded" => false, "stageVariables" => nil
      }
      parameters = query
      event["queryStringParameters"] = parameters unless parameters.empty?
      event["cookies"] = cookies unless cookies.empty?
      put_body(event, data) unless data.empty?
      event
    end

    # As text if it is of a text type and UTF-8, else in base64; forms are not text to Lambda.
    def put_body(event, data)
      kind = event["headers"].fetch("content-type", "")[/\A[^;]*/].strip.downcase
      if kind.empty? || kind.start_with?("text/") || kind.end_with?("json", "xml", "javascript")
        data.force_encoding(Encoding::UTF_8)
        return event["body"] = data if data.valid_encoding?
      end
      event["body"] = [data].pack("m0")
      event["isBase64Encoded"] = true
    end

    # ---- what a handler returns ----

    def answer(result)
      if result.is_a?(Hash) && (result.key?("statusCode") || result.key?(:statusCode))
        answer_hash(result.transform_keys(&:to_s))
      else
        write(200, JSON_TYPE, to_json(result))
      end
    end

    def answer_hash(result)
      pairs = headers_of(result)
      data = body_of(result)
      pairs += JSON_TYPE if !data.empty? && pairs.none? { |name, _| name.casecmp?("content-type") }
      pairs += (result["cookies"] || []).map { |cookie| ["Set-Cookie", cookie.to_s] }
      write(Integer(result["statusCode"]), pairs, data)
    rescue ArgumentError, TypeError, NoMethodError => e
      raise MarshalError, "Unable to marshal response: #{e.message}"
    end

    def headers_of(result)
      pairs = (result["headers"] || {}).map do |name, value|
        [name.to_s, value.is_a?(Array) ? value.join(",") : value.to_s]
      end
      (result["multiValueHeaders"] || {}).each do |name, values|
        pairs.reject! { |other, _| other.casecmp?(name.to_s) }
        pairs.concat(values.map { |value| [name.to_s, value.to_s] })
      end
      pairs
    end

    def body_of(result)
      body = result["body"]
      return "" if body.nil?
      return to_json(body) unless body.is_a?(String)

      result["isBase64Encoded"] ? body.unpack1("m0") : body
    end

    def write(status, pairs, data)
      request.start(status, pairs, data.bytesize)
      request.write(data)
    end

    def to_json(value)
      JSON.generate(value)
    rescue JSON::GeneratorError, JSON::NestingError, EncodingError => e
      raise MarshalError, "Unable to marshal response: #{e.message}"
    end
  end
end
