//! The macros for authors.

/// Writes a formatted record to the host's log: `log!(Warn, "port {port} is gone")`.
///
/// The levels are those of [`LogLevel`](crate::LogLevel).
#[macro_export]
macro_rules! log {
    ($level:ident, $($message:tt)+) => {
        $crate::log($crate::LogLevel::$level, module_path!(), &format!($($message)+))
    };
}

/// Makes a plugin library of one or more classes. A library has exactly one `export_plugin!`.
///
/// For every class, separated by `;`: its kind (`metrics` or `capacity`), the type that implements
/// [`MetricsPlugin`](crate::MetricsPlugin) or [`CapacityPlugin`](crate::CapacityPlugin), and the name by which a
/// configuration picks it. Optional, in this order: a sentence about it, the JSON Schema of its configuration
/// (a constant string; `include_str!` works), and the metrics it emits with type (`gauge`, `counter` or
/// `signed_gauge`), unit and help.
///
/// ```
/// # use orchestrator_plugin_api::*;
/// # struct Uptime; impl MetricsPlugin for Uptime {
/// #   type Config = NoConfig; fn initialize(_: NoConfig) -> Result<Self> { Ok(Self) } }
/// # struct Half; impl CapacityPlugin for Half {
/// #   type Config = NoConfig; fn initialize(_: NoConfig) -> Result<Self> { Ok(Self) }
/// #   fn calculate_capacity(&mut self, _: &Readings<'_>, _: &Readings<'_>) -> Result<Capacity> { Ok(1.into()) } }
/// export_plugin! {
///     metrics: Uptime as "UptimeCollector",
///     about: "How long the machine has been up.",
///     emits: ["system.uptime": gauge "s" "Seconds since boot"];
///
///     capacity: Half as "HalfCapacity",
///     config_schema: r#"{"type": "object"}"#
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! export_plugin {
    ($(
        $kind:ident : $plugin:ty as $class:literal
        $(, about: $about:expr)?
        $(, config_schema: $schema:expr)?
        $(, emits: [$($metric:literal : $metric_kind:ident $unit:literal $help:literal),* $(,)?])?
        $(,)?
    );+ $(;)?) => {
        const _: () = {
            use $crate::__private::abi_stable::library as __library;
            use $crate::__private::abi_stable::std_types::{RResult as __RResult, RStr as __RStr};
            use $crate::__private::declare as __declare;
            use $crate::abi as __abi;

            const LIBRARY: __declare::Library = __declare::Library {
                name: env!("CARGO_PKG_NAME"),
                version: env!("CARGO_PKG_VERSION"),
                panic_abort: cfg!(panic = "abort"),
                classes: &[$(__declare::Class {
                    class: $class,
                    kind: $crate::__export_plugin!(@kind $kind),
                    about: $crate::__export_plugin!(@text $($about)?),
                    config_schema: $crate::__export_plugin!(@text $($schema)?),
                    metrics: &[$($(__declare::Metric {
                        name: $metric,
                        kind: $crate::__export_plugin!(@metric $metric_kind),
                        unit: $unit,
                        help: $help,
                    }),*)?],
                }),+],
            };

            // Standing in a section of its own, the descriptor can be read without loading the library. The
            // root module refers to it, so no linker drops it.
            #[used]
            #[unsafe(link_section = ".orchestrator.plugin")]
            static DESCRIPTOR: [u8; __declare::json_len(&LIBRARY)] = __declare::json(&LIBRARY);

            extern "C" fn new_metrics(
                request: __abi::Request<'_>,
            ) -> __RResult<__abi::MetricsBox, __abi::Fault> {
                $($crate::__export_plugin!(@new_metrics $kind $plugin, $class, request);)+
                $crate::__private::no_such_class(request)
            }

            extern "C" fn new_capacity(
                request: __abi::Request<'_>,
            ) -> __RResult<__abi::CapacityBox, __abi::Fault> {
                $($crate::__export_plugin!(@new_capacity $kind $plugin, $class, request);)+
                $crate::__private::no_such_class(request)
            }

            const HAS_METRICS: bool = false $(|| $crate::__export_plugin!(@is_metrics $kind))+;
            const HAS_CAPACITY: bool = false $(|| $crate::__export_plugin!(@is_capacity $kind))+;

            fn root_module() -> __abi::PluginLibraryRef {
                $crate::__private::prepare(__abi::PluginLibrary {
                    descriptor: __RStr::from_str(__declare::text(&DESCRIPTOR)),
                    new_metrics: if HAS_METRICS { Some(new_metrics) } else { None },
                    new_capacity: if HAS_CAPACITY { Some(new_capacity) } else { None },
                })
            }

            extern "C" fn erased_root_module() -> __library::RootModuleResult {
                __library::__call_root_module_loader(root_module)
            }

            // The name is `abi_stable::library::ROOT_MODULE_LOADER_NAME`; a test of the contract's crate holds
            // the two equal.
            #[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
            pub static ROOT_MODULE: __library::LibHeader = {
                // SAFETY: the constructor returns a `PluginLibraryRef`, erased.
                unsafe {
                    __library::LibHeader::from_constructor::<__abi::PluginLibraryRef>(
                        erased_root_module,
                        __library::CheckTypeLayout::Yes,
                    )
                }
            };
        };
    };
}

/// The parts of [`export_plugin!`] that depend on a word.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_plugin {
    (@kind metrics) => {
        "metrics"
    };
    (@kind capacity) => {
        "capacity"
    };
    (@kind $other:ident) => {
        compile_error!(concat!(
            "unknown kind of plugin `",
            stringify!($other),
            "`: write `metrics` or `capacity`"
        ))
    };

    (@metric gauge) => {
        "gauge"
    };
    (@metric counter) => {
        "counter"
    };
    (@metric signed_gauge) => {
        "signed_gauge"
    };
    (@metric $other:ident) => {
        compile_error!(concat!(
            "unknown type of metric `",
            stringify!($other),
            "`: write `gauge`, `counter` or `signed_gauge`"
        ))
    };

    (@text) => {
        ""
    };
    (@text $text:expr) => {
        $text
    };

    (@new_metrics metrics $plugin:ty, $class:literal, $request:ident) => {
        if $request.class.as_str() == $class {
            return $crate::__private::new_metrics::<$plugin>($request);
        }
    };
    (@new_metrics $other:ident $($rest:tt)*) => {};

    (@new_capacity capacity $plugin:ty, $class:literal, $request:ident) => {
        if $request.class.as_str() == $class {
            return $crate::__private::new_capacity::<$plugin>($request);
        }
    };
    (@new_capacity $other:ident $($rest:tt)*) => {};

    (@is_metrics metrics) => {
        true
    };
    (@is_metrics $other:ident) => {
        false
    };

    (@is_capacity capacity) => {
        true
    };
    (@is_capacity $other:ident) => {
        false
    };
}
