def handler(event:, context:)
  name = event.dig("queryStringParameters", "name") || "world"
  { statusCode: 200, headers: { "Content-Type" => "text/plain" }, body: "Hello, #{name}!\n" }
end
