# Sends back in capitals what it is sent, as it comes.
run lambda { |env|
  input = env["rack.input"]
  body = Enumerator.new do |out|
    while (piece = input.read(16_384))
      out << piece.upcase
    end
  end
  [200, { "content-type" => "text/plain" }, body]
}
