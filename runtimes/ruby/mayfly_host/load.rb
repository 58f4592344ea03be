# From the text of `handler` to the object it names, and the adapter that speaks to it.

module MayflyHost
  module Load
    class << self
      def adapter(start)
        handler = start[:handler]
        set_up_gems
        return rack(load_rackup(handler), start) if handler.end_with?(".ru")

        file, name = find(handler)
        $0 = file
        $LOAD_PATH.unshift(Dir.pwd) unless $LOAD_PATH.include?(Dir.pwd)
        require File.expand_path(file)
        choose(file, name, start)
      end

      private

      # A Gemfile.lock is what the project runs with; gems in vendor/bundle are found without Bundler, too.
      def set_up_gems
        gems = Dir["vendor/bundle/ruby/*"].select { |d| d.end_with?("/" + RbConfig::CONFIG["ruby_version"]) }
        if File.exist?("Gemfile.lock") && bundler?
          ENV["BUNDLE_GEMFILE"] ||= File.expand_path("Gemfile")
          ENV["BUNDLE_PATH"] ||= "vendor/bundle" if gems.any?
          require "bundler/setup"
        elsif gems.any?
          Gem.use_paths(Gem.dir, gems.map { |d| File.expand_path(d) } + Gem.path)
        end
      end

      def bundler?
        !Gem::Specification.find_all_by_name("bundler").empty?
      end

      # "path/file.name", "file.Class.method", "file.Module::Class.method"
      def find(handler)
        at = handler.rindex("/") || 0
        while (at = handler.index(".", at + 1))
          file = handler[0...at] + ".rb"
          return file, handler[at + 1..] if File.file?(file)
        end
        raise LoadError.new("Runtime.ImportModuleError", "there is no Ruby file for #{handler} in #{Dir.pwd}")
      end

      def choose(file, name, start)
        *scope, last = name.split(".")
        if scope.any?
          return lambda_(constant(file, scope.join("::")).method(last), start)
        elsif last =~ /\A[A-Z]/
          return object(file, constant(file, last), last, start)
        end

        top = TOPLEVEL_BINDING.receiver
        unless top.respond_to?(last, true)
          raise LoadError.new("Runtime.HandlerNotFound", "#{file} has no method #{last}")
        end
        method(top.method(last), start)
      rescue NameError => e
        raise unless e.is_a?(NoMethodError) || e.backtrace.first.to_s.include?("/mayfly_host/")

        raise LoadError.new("Runtime.HandlerNotFound", "#{file} has no #{name}")
      end

      def constant(file, name)
        Object.const_get(name)
      rescue NameError
        raise LoadError.new("Runtime.HandlerNotFound", "#{file} has no constant #{name}")
      end

      def method(method, start)
        kinds = method.parameters.map(&:first)
        return vercel(method, start) if (kinds & %i[req opt]).size >= 1 && kinds.count { |k| %i[req opt].include?(k) } == 2

        kinds.first == :req && kinds.size == 1 ? rack(method, start) : lambda_(method, start)
      end

      # What a constant holds: a servlet of WEBrick, a Proc |request, response|, or a Rack application.
      def object(file, thing, name, start)
        if thing.is_a?(Class) && thing.method_defined?(:service)
          vercel(->(req, res) { thing.get_instance(Hash.new(nil)).service(req, res) }, start)
        elsif thing.is_a?(Proc) || thing.is_a?(Method)
          kinds = thing.parameters.map(&:first)
          return lambda_(thing, start) if kinds.include?(:keyreq)

          kinds.count { |k| %i[req opt].include?(k) } == 1 ? rack(thing, start) : vercel(thing, start)
        elsif thing.respond_to?(:call)
          rack(thing, start)
        else
          raise LoadError.new("Runtime.HandlerNotFound",
                              "#{name} in #{file} is a #{thing.class}: neither a Proc |request, response|, nor a " \
                              "WEBrick servlet, nor a Rack application")
        end
      end

      def load_rackup(file)
        require_relative "rack"
        $0 = file
        $LOAD_PATH.unshift(Dir.pwd)
        RackUp.load(file)
      end

      def rack(app, start)
        require_relative "rack"
        Rack.new(app, start)
      end

      def lambda_(handler, start)
        require_relative "lambda"
        Lambda.new(handler, start)
      end

      def vercel(handler, start)
        require_relative "vercel"
        Vercel.new(handler, start)
      end
    end
  end
end
