# The library as imported targets: cargo builds what is asked for, when something links it.

# What the linker wants beside the archive, as rustc says it. The C compiler adds its own parts (gcc_s, c).
function(imgtask_native_libraries result)
  set(arguments --crate-type staticlib --print native-static-libs -o "${CMAKE_CURRENT_BINARY_DIR}/empty.a")
  if(IMGTASK_CARGO_TARGET)
    list(APPEND arguments --target "${IMGTASK_CARGO_TARGET}")
  endif()
  file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/empty.rs" "")
  execute_process(
    COMMAND "${IMGTASK_RUSTC}" ${arguments} "${CMAKE_CURRENT_BINARY_DIR}/empty.rs"
    ERROR_VARIABLE said RESULT_VARIABLE failed)
  file(REMOVE "${CMAKE_CURRENT_BINARY_DIR}/empty.a" "${CMAKE_CURRENT_BINARY_DIR}/empty.rs")
  if(failed OR NOT said MATCHES "native-static-libs: ([^\n]*)")
    message(FATAL_ERROR "imgtask: ${IMGTASK_RUSTC} does not work:\n${said}")
  endif()
  separate_arguments(libraries UNIX_COMMAND "${CMAKE_MATCH_1}")
  list(REMOVE_ITEM libraries -lgcc_s -lc)
  set(${result} ${libraries} PARENT_SCOPE)
endfunction()

# An imported target `name`, SHARED or STATIC, and the target imgtask_cargo_shared or imgtask_cargo_static that builds it. Sets
# imgtask_SHARED_FILE and imgtask_SHARED_LINK: the library itself, and the name that a linker looks for.
function(imgtask_cargo_library name kind)
  if(kind STREQUAL "SHARED")
    set(crate_type cdylib)
    set(profile release)
    set(built "${CMAKE_SHARED_LIBRARY_PREFIX}imgtask${CMAKE_SHARED_LIBRARY_SUFFIX}")
    # Where it builds for this machine.
    set(folds "")
    if(NOT IMGTASK_CARGO_TARGET)
      set(folds "${IMGTASK_RUSTC}")
    endif()
  else()
    set(crate_type staticlib)
    set(profile release-static)
    set(built "${CMAKE_STATIC_LIBRARY_PREFIX}imgtask${CMAKE_STATIC_LIBRARY_SUFFIX}")
    set(folds "")
  endif()
  if(IMGTASK_CARGO_PROFILE)
    set(profile "${IMGTASK_CARGO_PROFILE}")
  endif()
  string(REGEX REPLACE "^dev$" "debug" folder "${profile}")
  set(flags ${IMGTASK_CARGO_FLAGS} --profile "${profile}" --lib --crate-type ${crate_type})
  if(NOT IMGTASK_LEAN)
    list(APPEND flags --features "decode,journal")
  endif()
  if(IMGTASK_CARGO_TARGET)
    list(APPEND flags --target "${IMGTASK_CARGO_TARGET}")
    set(folder "${IMGTASK_CARGO_TARGET}/${folder}")
  endif()

  # The names under which the library is linked and loaded.
  set(out "${PROJECT_BINARY_DIR}/lib")
  set(links "")
  set(file "${built}")
  if(kind STREQUAL "SHARED" AND APPLE)
    set(file "libimgtask.${PROJECT_VERSION}.dylib")
    set(links "libimgtask.${imgtask_abi}.dylib" "${built}")
  elseif(kind STREQUAL "SHARED" AND NOT WIN32)
    set(file "${built}.${PROJECT_VERSION}")
    set(links "${built}.${imgtask_abi}" "${built}")
  endif()
  string(TOLOWER "imgtask_cargo_${kind}" builder)
  set(products "${out}/${file}")
  if(kind STREQUAL "SHARED" AND WIN32)
    set(import_library "${built}${CMAKE_STATIC_LIBRARY_SUFFIX}")
    if(MSVC)
      set(import_library "${built}.lib")
    endif()
    list(APPEND products "${out}/${import_library}")
  endif()
  set(linker "")
  if(CMAKE_CROSSCOMPILING)
    set(linker "${CMAKE_C_COMPILER}")
  endif()
  add_custom_target(${builder}
    COMMAND "${CMAKE_COMMAND}"
      "-Dcargo=${IMGTASK_CARGO}" "-Dtarget_dir=${IMGTASK_CARGO_TARGET_DIR}"
      "-Dflags=${flags}" "-Dfolds=${folds}" "-Dbuilt=${folder}/${built}" "-Dimport_library=${import_library}"
      "-Dout=${out}" "-Dfile=${file}" "-Dlinks=${links}"
      "-Dlinker=${linker}" "-Dtarget=${IMGTASK_CARGO_TARGET}"
      -P "${PROJECT_SOURCE_DIR}/packaging/cmake/build.cmake"
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
    BYPRODUCTS ${products}
    COMMENT "imgtask: cargo builds the ${crate_type}; the first time takes minutes"
    USES_TERMINAL VERBATIM)

  add_library(${name} ${kind} IMPORTED GLOBAL)
  add_dependencies(${name} ${builder})
  set_target_properties(${name} PROPERTIES
    IMPORTED_LOCATION "${out}/${file}"
    INTERFACE_INCLUDE_DIRECTORIES "${PROJECT_SOURCE_DIR}/include")
  if(import_library)
    set_target_properties(${name} PROPERTIES IMPORTED_IMPLIB "${out}/${import_library}")
  elseif(kind STREQUAL "SHARED" AND APPLE)
    set_target_properties(${name} PROPERTIES IMPORTED_SONAME "@rpath/libimgtask.${imgtask_abi}.dylib")
  elseif(kind STREQUAL "SHARED")
    set_target_properties(${name} PROPERTIES IMPORTED_SONAME "${built}.${imgtask_abi}")
  else()
    imgtask_native_libraries(libraries)
    set_target_properties(${name} PROPERTIES
      IMPORTED_LINK_INTERFACE_LANGUAGES C
      INTERFACE_LINK_LIBRARIES "${libraries}")
    set(imgtask_STATIC_LIBRARIES "${libraries}" PARENT_SCOPE)
  endif()
  set(imgtask_${kind}_FILE "${out}/${file}" PARENT_SCOPE)
  set(imgtask_${kind}_LINK "${built}" PARENT_SCOPE)
  set(imgtask_${kind}_LINKS "${links}" PARENT_SCOPE)
  set(imgtask_${kind}_IMPLIB "${import_library}" PARENT_SCOPE)
endfunction()
