# The life of a Ruby function: load it, say how it is spoken to, serve.

module MayflyHost
end

require_relative "errors"
require_relative "load"

module MayflyHost
  def self.run(lib)
    Errors.hide(lib + "/")
    start = ::Mayfly.open
    # Lines are written as they are printed: a process that is killed takes nothing along.
    $stdout.sync = $stderr.sync = true
    Encoding.default_external = Encoding::UTF_8
    begin
      host = Host.new(start)
    rescue Exception => e
      e = Errors.explained(e, start[:late_variables])
      Errors.tell(e)
      ::Mayfly.fail(*Errors.parts(e))
    end
    ::Mayfly.run(host)
  end

  # What mayfly-ruby calls: the adapter, and what is the same for all adapters.
  class Host
    def initialize(start)
      @adapter = Load.adapter(start)
      @instance = start[:instance]
      @warmup = ::Object.private_method_defined?(:mayfly_warmup) ? :mayfly_warmup : nil
      others = Thread.list.size - 1
      if others > 0
        Errors.say("mayfly: #{start[:handler]} started #{others == 1 ? "a thread" : "#{others} threads"}; a request " \
                   "runs in a process forked from this one, where threads do not go on. Start them in the handler.\n")
      end
    end

    # The last that this process does in Ruby. All objects that are alive become old ones, which a
    # small collection in a worker does not look at, and lie close together.
    def settle
      if Process.respond_to?(:warmup)
        Process.warmup
      else
        4.times { GC.start }
        begin
          GC.compact
        rescue NotImplementedError
          nil
        end
      end
    end

    def touch
      @adapter.touch
      flush
      ::Mayfly::Request.finish if ::Mayfly::Request.begun?
      ::Object.send(@warmup) if @warmup && @touched
      @touched = true
    rescue StandardError => e
      Errors.tell(e)
    end

    # Returns whether this process may serve another request.
    def serve
      @adapter.serve
      flush
      ::Mayfly::Request.finish
      true
    rescue Exception => e
      Errors.tell(e)
      flush
      ::Mayfly::Request.fail(*Errors.parts(e, ::Mayfly::Request.get("Mayfly-Request-Id")), Errors.errno_of(e)) &&
        !e.is_a?(SystemExit)
    end

    private

    def flush
      $stdout.flush
      $stderr.flush
    rescue StandardError
      nil
    end
  end
end
