# A function's errors, told twice: in full on stderr, so that they are in the log, and in parts for
# the JSON. Frames of the host are left out: the author looks for a mistake in the author's code.

module MayflyHost
  class LoadError < StandardError
    attr_reader :type

    def initialize(type, message)
      super(message)
      @type = type
    end
  end

  class MarshalError < StandardError
    def type = "Runtime.MarshalError"
  end

  class UnmarshalError < StandardError
    def type = "Runtime.UnmarshalError"
  end

  module Errors
    REFUSALS = [Errno::ENOMEM, Errno::EMFILE, Errno::EFBIG, Errno::ENOSPC, Errno::EAGAIN].freeze

    # Of a stack that is deeper, its two ends are told.
    FIRST_LINES = 60
    LAST_LINES = 20
    MESSAGE_BYTES = 16_384

    class << self
      def hide(prefix)
        @ours = prefix
      end

      def backtrace(e)
        lines = (e.backtrace || []).reject { |line| line.start_with?(@ours) || line.start_with?("<internal:") }
        more = lines.size - FIRST_LINES - LAST_LINES
        return lines if more <= 0

        lines.first(FIRST_LINES) + ["... #{more} more"] + lines.last(LAST_LINES)
      end

      # [errorType, errorMessage, stack], each without NUL.
      def parts(e, request_id = nil)
        return exit_parts(e, request_id) if e.is_a?(SystemExit)

        type = e.respond_to?(:type) && e.class.name.start_with?("MayflyHost::") ? e.type : e.class.name || e.class.to_s
        stack = backtrace(e)
        stack = e.message.lines(chomp: true) + stack if e.is_a?(SyntaxError)
        [type, message(e), stack.join("\n")].map { |s| clean(s) }
      end

      def message(e)
        text = e.is_a?(NameError) && e.respond_to?(:original_message) ? e.original_message : e.message
        text.to_s.byteslice(0, MESSAGE_BYTES)
      rescue StandardError
        "<the error's text cannot be made>"
      end

      def exit_parts(e, request_id)
        what = e.status.zero? ? "without providing a reason" : "with error: exit status #{e.status}"
        prefix = request_id ? "RequestId: #{request_id} Error: " : ""
        ["Runtime.ExitError", "#{prefix}Runtime exited #{what}", ""]
      end

      def clean(text)
        text.dup.force_encoding(Encoding::UTF_8).scrub.delete("\0")
      end

      # What the system refused, if that is where the error comes from: an errno, or 0.
      def errno_of(e)
        seen = []
        while e && !seen.include?(e.object_id)
          seen << e.object_id
          return Errno::ENOMEM::Errno if e.is_a?(NoMemoryError)
          return e.errno if REFUSALS.any? { |kind| kind === e }
          return Errno::EAGAIN::Errno if e.is_a?(ThreadError) && e.message.start_with?("can't create Thread")

          e = e.cause
        end
        0
      end

      def explained(e, late)
        name = e.is_a?(KeyError) && e.message.include?("key not found") ? e.key : nil
        if name && late.include?(name)
          LoadError.new("KeyError", "#{name.inspect} (comes from a secret, and a request has it, but not the code " \
                        "that is loaded ahead of all requests; read it in the handler, or set \"secrets\": \"load\" " \
                        "for this function in mayfly.json)").tap { |n| n.set_backtrace(e.backtrace) }
        elsif e.is_a?(::LoadError) && e.path
          LoadError.new("LoadError", "#{e.message} (not part of this Ruby, nor of the project; install the gem " \
                        "beside mayfly.json: bundle config set --local path vendor/bundle && bundle install)")
                   .tap { |n| n.set_backtrace(e.backtrace) }
        else
          e
        end
      end

      def tell(e)
        type, text, stack = parts(e)
        say("#{type}: #{text}\n" + stack.each_line.map { |line| "    #{line.chomp}\n" }.join)
        cause = e.cause
        5.times do
          break if cause.nil? || cause.equal?(e)

          type, text, stack = parts(cause)
          say("caused by #{type}: #{text}\n" + stack.each_line.map { |line| "    #{line.chomp}\n" }.join)
          cause = cause.cause
        end
      end

      # To stderr, whatever the author has made of $stderr.
      def say(text)
        STDERR.write(text)
      rescue StandardError
        nil
      end
    end
  end
end
