//! The contract between Plimsoll's engine and its plugins: pods and nodes parsed once, and what a plugin sees and may answer
